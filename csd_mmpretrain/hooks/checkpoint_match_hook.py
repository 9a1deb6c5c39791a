"""A hook that refuses checkpoints that do not fit what they are loaded for."""
import os
from collections import OrderedDict
from typing import List, Sequence

from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseTTAModel
from mmengine.runner import BaseLoop, Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.checkpoints.checkpoint_match import (
    QUEUE,
    TRAINING_ONLY,
    describe_classes,
    describe_match,
    leave_out,
    load_and_compare,
    num_classes_of,
)
from csd_mmpretrain.checkpoints.pretrained import (
    local_path,
    plain_name,
    read_names,
)
from csd_mmpretrain.checkpoints.resume_changes import describe_changes
from csd_mmpretrain.datasets.same_classes import dataset_classes
from csd_mmpretrain.utils.unwrap import unwrap

from .exact_resume_hook import STATE

# What mmengine goes on from, beside the weights.
PROGRESS = ('meta', 'message_hub', 'optimizer')
# What of a model the stage does not use of a checkpoint.
NOT_COMPARED = {'test': TRAINING_ONLY, 'fine-tuning': QUEUE}
REMEDIES = {
    'test': 'The result would be wrong. Test with the config that the '
            'checkpoint was trained with, or choose a checkpoint of this '
            'model and dataset.',
    'resume': 'Resume with the config that the checkpoint was trained with, '
              'or start a new training from its weights (load_from without '
              'resume).',
    'fine-tuning': 'Nothing of it would be used. Choose a checkpoint of this '
                   'architecture.'
}


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Stop a run whose checkpoint is dangerous, or does not fit.

    mmengine loads what fits of a checkpoint, prints the rest, and goes on: a
    test would measure random weights. With this hook

    - a file that holds Python objects, is damaged or cut short is refused
      before anything of it is loaded, on every torch (``load_from``, test
      and resume from a local file);
    - a test or a resume stops if tensors are missing or of another shape, or
      the number of classes is not that of the data. What only training uses
      (the queue of ``DDLQueueLoss``) is left out of a test;
    - a resume stops if it would go on from averaged weights, as ``EMAHook``
      saved them and is not there to swap them back, and warns of settings
      of the optimizer and the schedule that are new and have no effect;
    - fine-tuning (``load_from``) starts with an empty queue, as the other
      training may have had other classes, warns of all else that is not
      taken over, and stops if nothing is;
    - a warning tells if the names of the classes are not those of the data.

    Raises:
        ValueError: If the checkpoint is refused.

    Source: choice.

    Example:
        ::

            default_hooks = dict(
                checkpoint_match=dict(type='CheckpointMatchHook'))
    """

    # Before hooks that take weights from the checkpoint, such as EMAHook.
    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Look into the file before it is loaded.

        Args:
            runner (Runner): The runner.
        """
        path = local_path(runner._load_from or '://')
        if path and os.path.isfile(path):
            read_names(path)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare what was read with the model and the data.

        Args:
            runner (Runner): The runner that loads. Of a FlexibleRunner, which
                may have split its model, nothing is compared.
            checkpoint (dict): All that was read. Its ``state_dict`` becomes,
                except for a resume, that of the model with what fits loaded.
        """
        if not isinstance(runner, Runner):
            if not runner._resume:
                _drop_queue(checkpoint)
            return
        stage = 'test'
        if isinstance(runner._train_loop, BaseLoop):
            stage = 'resume' if runner._resume else 'fine-tuning'
        if stage == 'fine-tuning':
            _drop_queue(checkpoint)
        model = unwrap(runner.model)
        loaded = checkpoint.get('state_dict', checkpoint)
        state_dict = OrderedDict(
            (plain_name(name), value)
            for name, value in loaded.items())
        state_dict._metadata = getattr(loaded, '_metadata', None)
        match = load_and_compare(model, state_dict)
        if stage in NOT_COMPARED:
            match = leave_out(match, NOT_COMPARED[stage])
        # EMAHook takes all or nothing, and mmengine would print the rest.
        checkpoint['state_dict'] = (
            state_dict if stage == 'resume' else model.state_dict())
        tta = any(isinstance(part, BaseTTAModel)
                  for part in runner.model.modules())
        _fit_averages(checkpoint, stage, tta)
        found = describe_match(match, num_classes_of(model))
        unfit = bool(match.missing or match.wrong or match.refused)
        if stage == 'resume':
            hindrances = _hindrances(runner, checkpoint)
            found += hindrances + _changes(runner, checkpoint)
            unfit = unfit or bool(hindrances)
        classes, expected = _classes(runner, checkpoint)
        if classes and expected and not match.wrong:
            names = describe_classes(classes, expected)
            found += [names] if names else []
            unfit = unfit or len(classes) != len(expected)
        if stage == 'fine-tuning':
            unfit = not match.fitting
        if not found:
            return
        source = runner._load_from or f'the latest one in {runner.work_dir}'
        found = '\n'.join(f'  {line}' for line in found)
        if unfit:
            raise ValueError(f'The checkpoint {source} does not fit this '
                             f'{stage}:\n{found}\n{REMEDIES[stage]}')
        runner.logger.warning(
            f'The checkpoint {source} fits this {stage}, but for:\n{found}\n'
            f'{len(match.fitting)} tensors are taken over.')


def _fit_averages(checkpoint: dict, stage: str, tta: bool) -> None:
    """Leave EMAHook what it can swap, by name, with the model's weights.

    In ``state_dict`` are the averages, so a fine-tuning starts from them. The
    model that EMAHook knows is that of the test-time augmentation, if any.
    """
    if stage == 'resume' or 'ema_state_dict' not in checkpoint:
        return
    names = {f'module.{name}' for name in checkpoint['state_dict']}
    known = {
        name: value for name, value in checkpoint.pop('ema_state_dict').items()
        if name in names or not name.startswith('module.')
    }
    if stage != 'test' or not names <= set(known):
        return
    checkpoint['ema_state_dict'] = known
    if tta:
        weights = checkpoint['state_dict']
        for name in list(weights):
            weights[f'module.{name}'] = weights.pop(name)
            known[f'module.module.{name}'] = known.pop(f'module.{name}')


def _hindrances(runner: Runner, checkpoint: dict) -> List[str]:
    """Why a resume cannot go on from a checkpoint, whatever its weights."""
    absent = [key for key in PROGRESS if key not in checkpoint]
    found = [f'it holds no {", ".join(absent)}'] if absent else []
    if 'ema_state_dict' in checkpoint and not any(
            isinstance(hook, EMAHook) for hook in runner.hooks):
        found.append("its weights are EMAHook's averages, and the run has no "
                     "EMAHook: add dict(type='EMAHook') to custom_hooks")
    return found


def _changes(runner: Runner, checkpoint: dict) -> List[str]:
    """Tell what is new in the run and comes too late for a resume."""
    hub = checkpoint.get('message_hub') or {}
    steps = hub.get('runtime_info', {}).get(STATE, {}).get('steps')
    text = describe_changes(checkpoint, runner.cfg, steps and
                            (steps, len(runner.train_dataloader)))
    return [text] if text else []


def _drop_queue(checkpoint: dict) -> None:
    """Leave out what is remembered of the other training's images."""
    for weights in (checkpoint.get('state_dict', checkpoint),
                    checkpoint.get('ema_state_dict', {})):
        for name in [name for name in weights if QUEUE.search(name)]:
            del weights[name]


def _classes(runner: Runner, checkpoint: dict) -> List[Sequence[str]]:
    """Names of the classes in a checkpoint, and in the data of the run."""
    loops = (runner._train_loop, runner._test_loop, runner._val_loop)
    dataset = next((loop.dataloader.dataset for loop in loops
                    if isinstance(loop, BaseLoop)), None)
    meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    return [meta.get('classes') or (), dataset_classes(dataset) or ()]
