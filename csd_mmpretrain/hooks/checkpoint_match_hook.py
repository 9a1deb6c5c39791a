"""A hook that refuses checkpoints that do not fit what they are loaded for."""
import json
import os
import re
from collections import OrderedDict
from typing import List, NamedTuple, Optional, Pattern, Sequence, Tuple

from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseTTAModel
from mmengine.runner import BaseLoop, Runner
from mmpretrain.registry import HOOKS
from torch import nn
from torch.utils.data import Dataset

from csd_mmpretrain.checkpoints.position_tables import (
    resize_position_tables,
)
from csd_mmpretrain.checkpoints.pretrained import local_path, read_names
from csd_mmpretrain.checkpoints.resume_changes import (
    describe_changes,
    other_optimizer,
)
from csd_mmpretrain.datasets.same_classes import (
    check_unseen_classes,
    dataset_classes,
    is_unseen,
)
from csd_mmpretrain.layers.feature_queue import QUEUE_KEY
from csd_mmpretrain.utils.num_classes import num_classes_of
from csd_mmpretrain.utils.protocol import training_only_keys
from csd_mmpretrain.utils.unwrap import unwrap

from .exact_resume_hook import STATE

NOTHING = re.compile('(?!)')
WRONG_SHAPE = re.compile(
    r'size mismatch for (\S+): .*Size\((\[.*?\])\).*Size\((\[.*?\])\)')
SHOWN = 3
# What mmengine resumes, beside the weights.
PROGRESS = ('meta', 'message_hub', 'optimizer')
REMEDIES = {
    'test': 'The result would be wrong. Test with the config that the '
            'checkpoint was trained with, or choose a checkpoint of this '
            'model and dataset.',
    'resume': 'Resume with the config that the checkpoint was trained with, '
              'or start a new training from its weights (load_from without '
              'resume).',
    'fine-tuning': 'Most of the backbone, or all, would stay random. Choose a '
                   'checkpoint of this architecture and width.'
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
      the number of classes is not that of the data. A test ignores what only
      training uses, such as feature queues;
    - a resume stops if it would continue from averaged weights, as
      ``EMAHook`` saves them, without an ``EMAHook`` to swap them back. It
      warns of new settings of optimizer and schedule that have no effect;
    - fine-tuning (``load_from``) starts with an empty feature queue, as the
      other training may have had other classes. It warns of all else that is
      not taken over, and stops if that is most of the backbone (of a model
      that has none, most of the model);
    - weights of a Swin or BEiT of another window size are resized, see
      :func:`resize_position_tables`, in any run;
    - a warning tells if the names of the classes are not those of the data;
    - a test of unseen classes (:mod:`~csd_mmpretrain.datasets.class_split`)
      stops if the checkpoint was trained on one of them.

    Under mmengine's ``FlexibleRunner``, which may split the model, weights
    and classes are not compared.

    Raises:
        ValueError: If the checkpoint is refused.

    Example:
        >>> default_hooks = dict(
        ...     checkpoint_match=dict(type='CheckpointMatchHook'))
    """

    # Before hooks that take weights from the checkpoint, such as EMAHook.
    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        resize_position_tables(runner.model)
        path = local_path(runner._load_from or '://')
        if path and os.path.isfile(path):
            read_names(path)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        # A resume by mmengine would run this text as a program.
        (checkpoint.get('meta') or {}).pop('config', None)
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
        weights = OrderedDict(
            (name.removeprefix('module.'), value)
            for name, value in loaded.items())
        weights._metadata = getattr(loaded, '_metadata', None)
        averages = {}
        if stage != 'resume':
            # In `state_dict` are the averages: a fine-tuning starts from them.
            averages = checkpoint.pop('ema_state_dict', {})
        if stage == 'test':
            averages = _for_swap(model, averages)
        match = _load(model, weights, _left_out(model, stage))
        # EMAHook takes all or nothing, and mmengine would print the rest.
        checkpoint['state_dict'] = (
            weights if stage == 'resume' else model.state_dict())
        if stage == 'test' and averages:
            checkpoint['ema_state_dict'] = averages
            if any(isinstance(part, BaseTTAModel)
                   for part in runner.model.modules()):
                _add_tta_prefix(checkpoint)
        found = _describe(match, num_classes_of(model))
        unfit = bool(match.missing or match.wrong or match.refused)
        if stage == 'resume':
            hindrances = _hindrances(runner, checkpoint)
            found += hindrances + _changes(runner, checkpoint)
            unfit = unfit or bool(hindrances)
        old, new = _classes(runner, checkpoint)
        if stage == 'test' and is_unseen(_dataset(runner)):
            check_unseen_classes(old, new, 'test')
        elif old and new and not match.wrong:
            found += _describe_classes(old, new)
            unfit = unfit or len(old) != len(new)
        if stage == 'fine-tuning':
            unfit = _share_of_backbone(model, match.fitting) < 0.5
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


class _Match(NamedTuple):
    """How a state dict fits a model, by the names of the tensors."""

    fitting: List[str]
    missing: List[str]
    unexpected: List[str]
    wrong: List[Tuple[str, tuple, tuple]]  # name, shape found, shape expected
    refused: List[str]  # what torch says of other tensors


def _load(model: nn.Module, state_dict: dict,
          left_out: Pattern = NOTHING) -> _Match:
    """Load what fits, and compare all but some names."""
    keys, wrong, refused = [], [], []
    handle = model.register_load_state_dict_post_hook(
        lambda module, found: keys.extend(found))
    try:
        model.load_state_dict(state_dict, strict=False)
    except RuntimeError as error:
        if not keys:
            raise
        for message in str(error).split('\n\t')[1:]:
            parts = WRONG_SHAPE.match(message)
            if parts is None:
                refused.append(message)
            elif not left_out.search(parts[1]):
                wrong.append((parts[1], *(tuple(json.loads(shape))
                                          for shape in parts.group(2, 3))))
    finally:
        handle.remove()
    missing, unexpected = keys
    unexpected = [name for name in unexpected if not left_out.search(name)]
    # mmengine leaves out num_batches_tracked, too.
    left_out = re.compile(f'num_batches_tracked|{left_out.pattern}')
    missing = [name for name in missing if not left_out.search(name)]
    unfit = {*missing, *(name for name, _, _ in wrong)}
    fitting = [name for name in model.state_dict()
               if name not in unfit and not left_out.search(name)]
    return _Match(fitting, missing, unexpected, wrong, refused)


def _describe(match: _Match, num_classes: Optional[int]) -> List[str]:
    """Write a sentence for each kind of difference."""
    lines = []
    for _, found, expected in match.wrong:
        if expected[:1] == (num_classes, ) and found[1:] == expected[1:]:
            lines = [f'the checkpoint knows {found[0]} classes, the model '
                     f'{num_classes}']
    shapes = [f'{name} {found} for {expected}'
              for name, found, expected in match.wrong]
    for what, names in (('have another shape', shapes),
                        ('are missing', match.missing),
                        ('are not in the model', match.unexpected),
                        ('are refused by torch', match.refused)):
        if names:
            more = ', ...' * (len(names) > SHOWN)
            lines.append(f'{len(names)} tensors {what}: ' +
                         ', '.join(names[:SHOWN]) + more)
    return lines


def _share_of_backbone(model: nn.Module, fitting: List[str]) -> float:
    """Compute the fraction of the backbone's tensors that is taken over."""
    start = 'backbone.' if hasattr(model, 'backbone') else ''
    own = [name for name in model.state_dict() if name.startswith(start)
           and not name.endswith('num_batches_tracked')]
    return len(set(fitting).intersection(own)) / max(1, len(own))


def _left_out(model: nn.Module, stage: str) -> Pattern:
    """Match the names of what a stage does not use of a checkpoint."""
    if stage == 'resume':
        return NOTHING
    if stage == 'fine-tuning':
        return QUEUE_KEY
    keys = ''.join(f'|^{re.escape(key)}' for key in training_only_keys(model))
    return re.compile(r'(^|\.)loss_module\.' + keys)


def _for_swap(model: nn.Module, averages: dict) -> dict:
    """Name EMAHook's state as the model does; empty if it lacks tensors."""
    weights = {name.removeprefix('module.'): value
               for name, value in averages.items()
               if name.startswith('module.')}
    if _load(model, weights).missing:
        return {}
    others = {name: value for name, value in averages.items()
              if not name.startswith('module.')}
    return {**others, **{f'module.{name}': value.clone()
                         for name, value in model.state_dict().items()}}


def _add_tta_prefix(checkpoint: dict) -> None:
    """Name tensors as EMAHook does, which averages the TTA model."""
    for key, prefix in (('state_dict', ''), ('ema_state_dict', 'module.')):
        weights = checkpoint[key]
        for name in list(weights):
            if name.startswith(prefix):
                weights[f'module.{name}'] = weights.pop(name)


def _hindrances(runner: Runner, checkpoint: dict) -> List[str]:
    """Say why a resume cannot continue, whatever the weights."""
    absent = [key for key in PROGRESS if key not in checkpoint]
    found = [f'it holds no {", ".join(absent)}'] if absent else []
    found += filter(None, [other_optimizer(checkpoint, runner.cfg)])
    for key in ('epoch', 'iter'):
        number = (checkpoint.get('meta') or {}).get(key, 0)
        if not isinstance(number, int) or number < 0:
            found.append(f'its meta.{key} is {number!r}, not a number')
    if 'ema_state_dict' in checkpoint and not any(
            isinstance(hook, EMAHook) for hook in runner.hooks):
        found.append("its weights are EMAHook's averages, and the run has no "
                     "EMAHook: add dict(type='EMAHook') to custom_hooks")
    return found


def _changes(runner: Runner, checkpoint: dict) -> List[str]:
    """Say which new settings come too late for a resume."""
    hub = checkpoint.get('message_hub') or {}
    steps = hub.get('runtime_info', {}).get(STATE, {}).get('steps')
    text = describe_changes(checkpoint, runner.cfg, steps and
                            (steps, len(runner.train_dataloader)))
    return [text] if text else []


def _drop_queue(checkpoint: dict) -> None:
    for weights in (checkpoint.get('state_dict', checkpoint),
                    checkpoint.get('ema_state_dict', {})):
        for name in list(filter(QUEUE_KEY.search, weights)):
            del weights[name]


def _classes(runner: Runner, checkpoint: dict) -> List[Sequence[str]]:
    """Return the classes of a checkpoint, and of the run's data."""
    meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    return [meta.get('classes') or (), dataset_classes(_dataset(runner)) or ()]


def _dataset(runner: Runner) -> Optional[Dataset]:
    loops = (runner._train_loop, runner._test_loop, runner._val_loop)
    return next((loop.dataloader.dataset for loop in loops
                 if isinstance(loop, BaseLoop)), None)


def _describe_classes(old: Sequence[str], new: Sequence[str]) -> List[str]:
    """Say how a checkpoint's classes differ from the data's, if they do."""
    if len(old) != len(new):
        return [f'the checkpoint was trained for {len(old)} classes, the '
                f'data has {len(new)}']
    other = [i for i, (a, b) in enumerate(zip(old, new)) if a != b]
    return [f'{len(other)} of {len(old)} classes have other names: class {i} '
            f'is {old[i]!r} in the checkpoint, {new[i]!r} in the data'
            for i in other[:1]]
