"""Checks of what a run has built, before it trains."""
import os
from typing import Optional, Sequence

from mmengine.dist import all_gather_object, get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from mmpretrain.engine import PreciseBNHook
from mmpretrain.evaluation import Accuracy
from mmpretrain.registry import HOOKS

from csd_mmpretrain.checkpoints.checkpoint_match import num_classes_of
from csd_mmpretrain.checkpoints.pretrained import (
    check_match,
    fetch,
    local_path,
    pretrained_parts,
)
from csd_mmpretrain.methods.cmd.cmd import CMD
from csd_mmpretrain.methods.csdnet.ssdp_hook import SSDPHook
from csd_mmpretrain.runtime.recomputation import check_recomputation
from csd_mmpretrain.runtime.settings_check import (
    check_best_scores,
    check_logged_steps,
    check_warmups,
)
from csd_mmpretrain.utils.unwrap import unwrap

from .safe_checkpoint_hook import RECORD


@HOOKS.register_module()
class SetupCheckHook(Hook):
    """Stop a training that would start wrong.

    It downloads the pretrained weights and checks that they are for this
    model (a resume needs none), that several processes share one model and
    have equally many steps, that gradient checkpointing survives the second
    view, that the validation's top k are not more than there are classes, that
    the best checkpoint is chosen by a score of the validation, that
    validations are logged at their steps, and that a warm-up ends. It works
    with any tool, as it belongs to the config.

    Raises:
        FileNotFoundError: If weights are missing or do not download.
        ValueError: If not one tensor of the weights fits the model, or if the
            model of several processes has no wrapper, so that each process
            would train one of its own, or they differ in their steps, or
            ``topk`` of the validation's ``Accuracy`` is too large, or
            ``sync_bn`` or ``PreciseBNHook`` do not go with the rest. See also
            :func:`~csd_mmpretrain.runtime.recomputation.check_recomputation`,
            :func:`~csd_mmpretrain.runtime.settings_check.check_warmups`,
            :func:`~csd_mmpretrain.runtime.settings_check.check_best_scores` and
            :func:`~csd_mmpretrain.runtime.settings_check.check_logged_steps`.

    Source: choice.

    Example:
        ::

            default_hooks = dict(setup_check=dict(type='SetupCheckHook'))
    """

    def before_run(self, runner: Runner) -> None:
        """Check the model of a training.

        Args:
            runner (Runner): The runner.
        """
        if not isinstance(runner.optim_wrapper,
                          (OptimWrapper, OptimWrapperDict)):
            return  # a test, which loads a checkpoint afterwards
        if get_world_size() > 1 and not is_model_wrapper(runner.model):
            raise ValueError(
                f'{get_world_size()} processes train, but the model has no '
                "wrapper that keeps them equal (launcher='none'). Start "
                'with tools/dist_train.sh, or give the tool `--launcher`.')
        parts = list(pretrained_parts(unwrap(runner.model)))
        if _resumes(runner):
            for _, module, _ in parts:
                module.is_init = True  # all is in the checkpoint
            return
        if runner.rank != 0:
            return
        for name, module, cfg in parts:
            fetch(cfg['checkpoint'])
            if local_path(cfg['checkpoint']) is not None:
                check_match(name, module, cfg)

    def before_train(self, runner: Runner) -> None:
        """Check steps, schedules, top k and gradient checkpointing.

        Args:
            runner (Runner): The runner of the training.
        """
        steps = all_gather_object(len(runner.train_dataloader))
        if len(set(steps)) > 1:
            raise ValueError(
                f'The processes have {steps} steps in an epoch, so some would '
                'wait for ever for the others. Set '
                'train_dataloader.sampler.round_up=True.')
        check_warmups(runner.param_schedulers, steps[0])
        if runner.val_loop is not None:
            metrics = runner.val_loop.evaluator.metrics
            _check_topk(metrics, num_classes_of(runner.model))
            check_best_scores(runner.hooks, metrics)
            check_logged_steps(runner)
        norms = [hook.norm for hook in runner.hooks
                 if isinstance(hook, SSDPHook) and hook.enabled]
        if isinstance(unwrap(runner.model), CMD):
            norms.append('shared')
        if norms and runner.cfg.get('sync_bn') == 'mmcv':
            raise ValueError(
                "sync_bn='mmcv': mmcv's batch norm knows neither SSDPHook's "
                "`norm` nor the teacher of CMD. Set sync_bn='torch'.")
        for norm in norms:
            check_recomputation(
                runner.model,
                runner.cfg.get('activation_checkpointing') or (), norm)
        if (any(isinstance(hook, PreciseBNHook) for hook in runner.hooks)
                and runner.train_dataloader.batch_size is None):
            raise ValueError(
                'PreciseBNHook reads the batch size of the train_dataloader, '
                'which has a batch sampler in its place. Set '
                'train_dataloader.batch_sampler=None; a run is then resumed '
                'from the ends of epochs alone.')


def _resumes(runner: Runner) -> bool:
    """Whether there is a checkpoint to go on from."""
    record = os.path.join(runner.work_dir, RECORD)
    return runner._resume and (runner._load_from is not None
                               or os.path.isfile(record))


def _check_topk(metrics: Sequence[BaseMetric],
                num_classes: Optional[int]) -> None:
    for metric in metrics:
        if not isinstance(metric, Accuracy) or not num_classes:
            continue
        if max(metric.topk) > num_classes:
            raise ValueError(
                f'val_evaluator: Accuracy has topk={tuple(metric.topk)}, but '
                f'the model knows {num_classes} classes. Set topk=(1, ) '
                'there.')
