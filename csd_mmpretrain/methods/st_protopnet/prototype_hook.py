"""The schedule of ST-ProtoPNet: stages, unit length, push and tuning."""
import os
from copy import deepcopy
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import torch
from mmengine.evaluator import Evaluator
from mmengine.hooks import EMAHook, Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from csd_mmpretrain.evaluation.feature_data import labelled_images
from csd_mmpretrain.runtime.undisturbed import same_modes, same_random_states
from csd_mmpretrain.utils.tables import markdown_table, write_table
from csd_mmpretrain.utils.unwrap import unwrap

from .branch_accuracy import BranchAccuracy
from .push import (
    Patches,
    check_all_classes,
    find_patches,
    write_prototypes,
)
from .st_protopnet_head import BRANCHES, STProtoPNetHead

# Of a checkpoint's `meta`, which publishing keeps.
RECORD = 'st_protopnet'
WARM, JOINT, LAST_LAYER = 'warm', 'joint', 'last layer'
COLUMNS = ('epoch', 'when', *(f'{name}, %' for name in (*BRANCHES, 'both')),
           *(f'distinct {name}' for name in BRANCHES),
           *(f'similarity {name}' for name in BRANCHES))


@HOOKS.register_module()
class PrototypeHook(Hook):
    """Train ``STProtoPNetHead`` in stages, and push its prototypes.

    In the *warm* stage add-on layers and prototypes learn, in the *joint*
    stage the backbone too, and in the *last layer* stage after each push the
    last layer of both branches alone, at the rate that the optimizer gave it.
    What does not learn gets no gradient, and so no weight decay; a frozen
    backbone is in evaluation mode. After each optimizer step the prototypes
    that moved get their length 1 back, and it is the other branch's turn.

    A push is one pass over the training photos with the test pipeline. Each
    prototype becomes the cell of a photo of its class that is most like it.
    The training ends with a push and its tuning, so that what explains is
    what predicts. Accuracy before each push, after it and after the tuning is
    logged for each branch and both, and written to ``prototypes.csv``.
    Where each prototype is from is in the checkpoint's
    ``meta['st_protopnet']``.

    With several processes the config needs ``find_unused_parameters = True``.

    Args:
        warm_epochs (int): Defaults to 10.
        push_epochs (Sequence[int]): After so many epochs, the tuning of
            earlier pushes included. Defaults to (101, 121, 140).
        tune_epochs (int): Epochs of tuning after each push. Defaults to 10.

    Raises:
        ValueError: If an argument has an impossible value; before the first
            step, if the training does not end with a push and its tuning, or
            goes by iterations, a class has no training photo, the backbone
            gives no map, weights are averaged or sharded, or several
            processes would wait for gradients.
        TypeError: Before the first step, if the head is no
            ``STProtoPNetHead``.

    Source: ST-ProtoPNet's schedule. That a training ends with a push, that
    frozen parts are in evaluation mode, and that both branches' last layers
    are tuned on each batch are choices.

    Example:
        >>> default_hooks = dict(prototypes=dict(
        ...     type='PrototypeHook', warm_epochs=5, push_epochs=(25, ),
        ...     tune_epochs=5))
        >>> train_cfg = dict(by_epoch=True, max_epochs=30)
    """

    # After FrozenPartsHook, whose parts stay frozen in each stage.
    priority = 'NORMAL'

    def __init__(self,
                 warm_epochs: int = 10,
                 push_epochs: Sequence[int] = (101, 121, 140),
                 tune_epochs: int = 10) -> None:
        pushes = list(push_epochs)
        gaps = [b - a for a, b in zip([warm_epochs, *pushes], pushes)]
        if warm_epochs < 0 or tune_epochs < 1 or not pushes or (
                gaps[0] < 0 or any(gap < tune_epochs for gap in gaps[1:])):
            raise ValueError(
                f'PrototypeHook: push_epochs={pushes} with warm_epochs='
                f'{warm_epochs} and tune_epochs={tune_epochs}. Give at least '
                'one push, none within the warm-up, each after the tuning of '
                'the one before, and tune_epochs of at least 1.')
        self.warm_epochs = warm_epochs
        self.push_epochs = pushes
        self.tune_epochs = tune_epochs
        self.rows: List[list] = []
        self.sources: Optional[Dict[str, dict]] = None

    def describe(self) -> Dict[str, str]:
        """Write the schedule, for the run's header."""
        pushes = ', '.join(map(str, self.push_epochs))
        return dict(stages=f'{self.warm_epochs} warm epochs, push after '
                    f'{pushes}, each with {self.tune_epochs} of tuning')

    def stage(self, epoch: int) -> str:
        """Name the stage of an epoch, counted from 0."""
        if epoch < self.warm_epochs:
            return WARM
        tuned = any(0 <= epoch - push < self.tune_epochs
                    for push in self.push_epochs)
        return LAST_LAYER if tuned else JOINT

    def before_train(self, runner: Runner) -> None:
        self._check(runner)
        model = unwrap(runner.model)
        head = self._head = model.head
        self._backbone = [p for name, p in model.named_parameters()
                          if not name.startswith('head.') and p.requires_grad]
        self._alternate = head.alternate
        with same_random_states():
            self._photos = labelled_images(runner.cfg, 'train')
            self._labels = [info['gt_label']
                            for info in self._photos.loader.dataset.infos]
            check_all_classes(self._labels, head.num_classes)
            self._probe(runner, model)
        self._handle = runner.optim_wrapper.optimizer.register_step_post_hook(
            lambda *_: head.finish_step())

    def before_train_epoch(self, runner: Runner) -> None:
        stage = self._stage = self.stage(runner.epoch)
        if stage != LAST_LAYER:
            self.sources = None
        for parameter in self._backbone:
            _let_learn(parameter, stage == JOINT)
        for _, branch in self._head.branches():
            for name, parameter in branch.named_parameters():
                _let_learn(parameter, name.startswith('last_layer')
                           == (stage == LAST_LAYER))
        # The last layers of the branches share nothing.
        self._head.alternate = self._alternate and stage != LAST_LAYER
        runner.logger.info(f'Stage of epoch {runner.epoch + 1}: {stage}.')

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        # At every step, as train loops call model.train() again.
        if self._stage != JOINT and unwrap(runner.model).backbone.training:
            unwrap(runner.model).backbone.eval()
        if self._stage == LAST_LAYER:
            self._keep_rate(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        epoch = runner.epoch + 1
        if epoch in self.push_epochs:
            self._record(runner, 'before push')
            self._push(runner)
            self._record(runner, 'after push')
        if epoch - self.tune_epochs in self.push_epochs:
            self._record(runner, 'after tuning')

    def after_train(self, runner: Runner) -> None:
        self._handle.remove()
        self._head.alternate = self._alternate
        if runner.rank == 0 and self.rows:
            runner.logger.info(
                f'Prototypes:\n{markdown_table(COLUMNS, self.rows)}')
            write_table(Path(runner.work_dir, 'prototypes.csv'), COLUMNS,
                        self.rows)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint['meta'][RECORD] = dict(
            rows=deepcopy(self.rows), sources=deepcopy(self.sources))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if runner._resume:
            record = checkpoint['meta'].get(RECORD, {})
            self.rows = record.get('rows', [])
            self.sources = record.get('sources')

    def _check(self, runner: Runner) -> None:
        model = unwrap(runner.model)
        head = getattr(model, 'head', None)
        if not isinstance(head, STProtoPNetHead):
            raise TypeError(
                'PrototypeHook trains STProtoPNetHead, but the head is '
                f'{type(head).__name__}. Set model.head.type there, or '
                'remove the hook.')
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                'PrototypeHook: the stages are counted in epochs, but the '
                'training goes by iterations. Set train_cfg=dict('
                'by_epoch=True, max_epochs=...).')
        end = self.push_epochs[-1] + self.tune_epochs
        if runner.max_epochs != end:
            raise ValueError(
                f'PrototypeHook: the last push is after epoch '
                f'{self.push_epochs[-1]} and tuned for {self.tune_epochs}, '
                f'but the training has max_epochs={runner.max_epochs}. It '
                'must end there, or its prototypes are no training patches: '
                f'set train_cfg.max_epochs={end}, or other push_epochs.')
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                raise ValueError(
                    f'{type(hook).__name__} averages the prototypes, which '
                    'are then no training patches. Remove it from the hooks.')
        if any(isinstance(module, FullyShardedDataParallel)
               for module in runner.model.modules()):
            raise ValueError('PrototypeHook writes whole prototypes, but FSDP '
                             "shards them. Use runner_type='Runner'.")
        if not getattr(runner.model, 'find_unused_parameters', True):
            raise ValueError(
                'PrototypeHook: several processes would wait for the '
                'gradients of the branch whose turn it is not. Write '
                '`find_unused_parameters = True` into the config.')

    @torch.no_grad()
    def _probe(self, runner: Runner, model: nn.Module) -> None:
        """See what map a photo gives, before the first step."""
        sample = self._photos.loader.dataset[0]
        with same_modes(model):
            model.eval()
            data = model.data_preprocessor(dict(
                inputs=[sample['inputs']],
                data_samples=[sample['data_samples']]))
            x = model.head.feature_map(model.extract_feat(data['inputs']))
        if x.size(1) != model.head.in_channels:
            raise ValueError(
                f'STProtoPNetHead: in_channels={model.head.in_channels}, but '
                f'the map has {x.size(1)} channels. Set in_channels='
                f'{x.size(1)}.')
        if x.shape[2:] == (1, 1):
            runner.logger.warning(
                'STProtoPNetHead: the map has one cell, so a prototype is a '
                'whole image and nothing is located. Give larger images, or '
                'a backbone with a larger map.')

    def _keep_rate(self, runner: Runner) -> None:
        """Undo what the schedule did to the rate of the last layers."""
        own = {id(branch.last_layer.weight)
               for _, branch in self._head.branches()}
        for group in runner.optim_wrapper.optimizer.param_groups:
            if own.issuperset(map(id, group['params'])):
                group['lr'] = group.get('initial_lr', group['lr'])

    def _push(self, runner: Runner) -> None:
        model = unwrap(runner.model)
        with same_random_states():
            patches = find_patches(model, self._photos.loader, self._labels)
        write_prototypes(model, patches)
        self.sources = {name: _source(found, self._photos.paths)
                        for name, found in patches.items()}

    def _record(self, runner: Runner, when: str) -> None:
        accuracy = {}
        if runner.val_loop is not None:
            accuracy = _accuracy(runner)
            runner.logger.info(
                f'Prototypes {when}: ' + '  '.join(
                    f'{name}: {value:.2f}'
                    for name, value in accuracy.items()))
        accuracies = [f'{accuracy[name]:.2f}' if accuracy else ''
                      for name in (*BRANCHES, 'both')]
        pushed = [self.sources[name] for name in BRANCHES
                  ] if self.sources else []
        self.rows.append([
            runner.epoch + 1, when, *accuracies,
            *([num_distinct(part) for part in pushed] or ['', '']),
            *([f'{sum(part["cosine"]) / len(part["cosine"]):.3f}'
               for part in pushed] or ['', ''])])


def _let_learn(parameter: nn.Parameter, learns: bool) -> None:
    parameter.requires_grad_(learns)
    if not learns:
        parameter.grad = None


def _source(patches: Patches, paths: Sequence[str]) -> dict:
    """Tell where prototypes are from, in plain numbers and strings."""
    files = relative_files(paths)
    return dict(
        file=[files[i] for i in patches.image.tolist()],
        image=patches.image.tolist(),
        cell=patches.position.tolist(),
        cosine=patches.cosine.tolist())


def relative_files(paths: Sequence[str]) -> List[str]:
    """Name the training photos within the folder that holds them all.

    A checkpoint names them so, to be read on another machine, too.
    """
    root = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, root) for path in paths]


def num_distinct(source: dict) -> int:
    """Count the patches among the prototypes of a branch, each once."""
    return len({(image, *cell)
                for image, cell in zip(source['image'], source['cell'])})


@torch.no_grad()
def _accuracy(runner: Runner) -> Dict[str, float]:
    """Evaluate the branches on the validation photos."""
    model, loader = unwrap(runner.model), runner.val_dataloader
    evaluator = Evaluator([BranchAccuracy(prefix='')])
    with same_random_states(), same_modes(model):
        model.eval()
        for batch in loader:
            evaluator.process(model.val_step(batch), batch)
    found = evaluator.evaluate(len(loader.dataset))
    return {name.split('/')[-1]: value for name, value in found.items()}
