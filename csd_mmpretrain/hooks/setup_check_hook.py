"""Checks of what a run has built, before it trains."""
import os
from functools import partial
from operator import attrgetter
from typing import Any, Dict, List, Optional, Sequence, Union

from mmengine.dataset import InfiniteSampler
from mmengine.device import get_device
from mmengine.dist import all_gather_object, get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.hooks import CheckpointHook, Hook, LoggerHook
from mmengine.model import is_model_wrapper
from mmengine.optim import LinearParamScheduler, OptimWrapper, OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop, Runner
from mmpretrain.engine import PreciseBNHook
from mmpretrain.evaluation import (
    Accuracy,
    ConfusionMatrix,
    SingleLabelMetric,
)
from mmpretrain.registry import HOOKS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import BatchSampler

from csd_mmpretrain.checkpoints.checkpoint_files import RECORD
from csd_mmpretrain.checkpoints.pretrained import (
    fetch_weights,
    pretrained_parts,
)
from csd_mmpretrain.layers.view_norm import active_batch_norms
from csd_mmpretrain.runtime.bfloat16_optim_wrapper import BFloat16OptimWrapper
from csd_mmpretrain.utils.cores import SLOW_BFLOAT16, lacks_bfloat16
from csd_mmpretrain.utils.num_classes import num_classes_of
from csd_mmpretrain.utils.protocol import views_per_image
from csd_mmpretrain.utils.unwrap import unwrap
from csd_mmpretrain.utils.wording import first_names

from .safe_checkpoint_hook import BEST_REMEDY


@HOOKS.register_module()
class SetupCheckHook(Hook):
    """Stop a training whose setup is wrong, before the first step.

    Pretrained weights are downloaded and compared with the model; a resume
    needs none. Several processes must share one model and have equally many
    steps. Batch norm and gradient checkpointing must suit a backbone that
    runs several times in a step. The validation's top k must not exceed the
    number of classes, no metric may read class scores that the head does not
    give, its scores must include the one that chooses the best checkpoint,
    and it must be logged at its steps. A warm-up must end. If some batch has
    one image, no batch norm may get one value of it, which the first forward
    pass shows.

    Raises:
        FileNotFoundError: If weights are missing or do not download.
        ValueError: If a check fails.

    Source: gradient checkpointing as seen with torch 2.15. mmpretrain and
    mmengine use torch's reentrant kind, where each recomputation hands DDP a
    gradient of its own, and which FSDP's freed weights do not survive.

    Example:
        >>> default_hooks = dict(setup_check=dict(type='SetupCheckHook'))
    """

    def before_run(self, runner: Runner) -> None:
        if not isinstance(runner.optim_wrapper,
                          (OptimWrapper, OptimWrapperDict)):
            return  # a test, which loads a checkpoint afterwards
        if get_world_size() > 1 and not is_model_wrapper(runner.model):
            raise ValueError(
                f'{get_world_size()} processes train, but the model has no '
                "wrapper that keeps them equal (launcher='none'). Start "
                'with tools/dist_train.sh, or give the tool `--launcher`.')
        if (isinstance(runner.optim_wrapper, BFloat16OptimWrapper)
                and get_device() == 'cpu' and lacks_bfloat16()):
            runner.logger.warning(SLOW_BFLOAT16)
        record = os.path.join(runner.work_dir, RECORD)
        resumes = runner._resume and (runner._load_from is not None
                                      or os.path.isfile(record))
        for name, module, cfg in pretrained_parts(unwrap(runner.model)):
            if resumes:
                module.is_init = True  # all is in the checkpoint
            elif runner.rank == 0:
                fetch_weights(name, module, cfg)

    def before_train(self, runner: Runner) -> None:
        steps = all_gather_object(len(runner.train_dataloader))
        if len(set(steps)) > 1:
            raise ValueError(
                f'The processes have {steps} steps in an epoch, so some would '
                'wait forever for the others. Set '
                'train_dataloader.sampler.round_up=True.')
        if not steps[0]:
            images = len(runner.train_dataloader.dataset)
            raise ValueError(
                f'train_dataloader: {images} images make no step in an epoch, '
                'so nothing would be trained. Lower '
                'train_dataloader.batch_size, set drop_last=False, or add '
                'images.')
        _check_warmups(runner.param_schedulers, steps[0])
        if runner.val_loop is not None:
            if runner.train_loop.val_interval < 1:
                raise ValueError(
                    'train_cfg.val_interval='
                    f'{runner.train_loop.val_interval}: at least 1 is needed. '
                    'To train without validation give --no-validate, or set '
                    'val_cfg, val_dataloader and val_evaluator to None.')
            metrics = runner.val_loop.evaluator.metrics
            num_classes = num_classes_of(runner.model)
            _check_scored('val_evaluator', metrics, num_classes)
            for metric in metrics:
                if (isinstance(metric, Accuracy) and num_classes
                        and max(metric.topk) > num_classes):
                    raise ValueError(
                        'val_evaluator: Accuracy has topk='
                        f'{tuple(metric.topk)}, but the model knows '
                        f'{num_classes} classes. Set topk=(1, ) there.')
            _check_best_scores(runner.hooks, metrics)
            _check_logged_steps(runner)
        norms = [getattr(part, 'norm', 'shared')
                 for part in (unwrap(runner.model), *runner.hooks)
                 if views_per_image(part) > 1]
        if norms and runner.cfg.get('sync_bn') == 'mmcv':
            raise ValueError(
                "sync_bn='mmcv': the backbone runs several times in a step, "
                'and each view or network needs statistics of its own, which '
                "mmcv's batch norm does not support. Set sync_bn='torch'.")
        for norm in norms:
            _check_recomputation(
                runner.model,
                runner.cfg.get('activation_checkpointing') or (), norm)
        if (any(isinstance(hook, PreciseBNHook) for hook in runner.hooks)
                and runner.train_dataloader.batch_size is None):
            raise ValueError(
                'PreciseBNHook reads the batch size of the train_dataloader, '
                'which has a batch sampler in its place. Set '
                'train_dataloader.batch_sampler=None; a run can then be '
                'resumed from the end of an epoch only.')
        self._watched = _watch_single_images(runner)

    def before_test(self, runner: Runner) -> None:
        _check_scored('test_evaluator', runner.test_loop.evaluator.metrics,
                      num_classes_of(runner.model))

    def after_train_iter(self, runner: Runner, *args: Any,
                         **kwargs: Any) -> None:
        while self._watched:
            self._watched.pop().remove()


def _watch_single_images(runner: Runner) -> List[Any]:
    """Let batch norms refuse what a batch of one image would not give."""
    batches = runner.train_dataloader.batch_sampler
    size = getattr(batches, 'batch_size', None)
    if size is None:
        return []
    images = len(batches.sampler)
    whole = batches.drop_last or isinstance(batches.sampler, InfiniteSampler)
    if size != 1 and (whole or images % size != 1):
        return []
    own = '' if type(batches) is BatchSampler else 'batch_sampler.'
    remedy = f'train_dataloader.{own}drop_last=True, or another batch_size'
    if size == 1:
        remedy = 'train_dataloader.batch_size=2 or more'

    def check(name: str, norm: nn.Module, args: tuple) -> None:
        if norm.training and args[0][0].numel() == norm.num_features:
            raise ValueError(
                f'model.{name} ({type(norm).__name__}) gets one value per '
                'channel of an image, and cannot normalize it in a batch of '
                f'one image: {images} images in batches of {size} leave one. '
                f'Set {remedy}.')

    return [norm.register_forward_pre_hook(partial(check, name))
            for name, norm in unwrap(runner.model).named_modules()
            if isinstance(norm, _BatchNorm)
            and not (isinstance(norm, nn.SyncBatchNorm)
                     and get_world_size() > 1)]


def _check_scored(name: str, metrics: Sequence[BaseMetric],
                  num_classes: Optional[int]) -> None:
    """Refuse a metric of class scores for a head that gives none."""
    for metric in metrics:
        if num_classes == 0 and isinstance(
                metric, (Accuracy, SingleLabelMetric, ConfusionMatrix)):
            raise ValueError(
                f'{name}: {type(metric).__name__} reads class scores, but the '
                "model's head gives features alone. Use "
                "dict(type='RetrievalMetric', protocol='leave-one-out') or "
                "type='ClusteringMetric'.")


def _check_warmups(schedulers: Union[List[Any], Dict[str, List[Any]], None],
                   steps: int) -> None:
    """Refuse a LinearLR of one step or epoch: its start factor stays."""
    if isinstance(schedulers, dict):  # by the names of several optimizers
        schedulers = sum(schedulers.values(), [])
    for scheduler in schedulers or ():
        if (isinstance(scheduler, LinearParamScheduler)
                and scheduler.start_factor < scheduler.end_factor
                and scheduler.total_iters <= 0):
            unit = 'epoch' if scheduler.by_epoch else 'step'
            raise ValueError(
                f'param_scheduler: {type(scheduler).__name__} has one {unit} '
                f'(an epoch has {steps} steps), so its warm-up never ends, '
                f'and {scheduler.param_name} would stay at '
                f'{scheduler.start_factor:g} times its value for the whole '
                'training. Lower train_dataloader.batch_size, so that an '
                'epoch has more steps, give the scheduler a later `end`, or '
                'leave it out.')


def _check_best_scores(hooks: Sequence[Hook],
                       metrics: Sequence[BaseMetric]) -> None:
    """Refuse a ``save_best`` that begins with no metric's prefix."""
    kinds = {getattr(metric, 'prefix', None): type(metric).__name__
             for metric in metrics}
    if None in kinds:
        return  # it may report any name
    prefixes = tuple(f'{prefix}/' for prefix in kinds)
    for hook in hooks:
        names = isinstance(hook, CheckpointHook) and hook.save_best or ()
        for name in names:
            if name != 'auto' and not name.startswith(prefixes):
                found = ', '.join(f'{prefix}/... ({kind})'
                                  for prefix, kind in kinds.items())
                raise ValueError(
                    f'default_hooks.checkpoint.save_best={name!r}, but '
                    f'val_evaluator reports {found}. {BEST_REMEDY}')


def _check_logged_steps(runner: Runner) -> None:
    """Refuse to log validations at epochs in a training by iterations."""
    if isinstance(runner.train_loop, IterBasedTrainLoop) and (
            runner.log_processor.by_epoch
            or any(hook.log_metric_by_epoch for hook in runner.hooks
                   if isinstance(hook, LoggerHook))):
        raise ValueError(
            'The training goes by iterations (train_cfg), but the log counts '
            'epochs, so all validations would be logged at step 0. Set\n'
            '    log_processor = dict(by_epoch=False)\n'
            '    default_hooks = dict(logger=dict(log_metric_by_epoch=False))'
            '\nin the config.')


def _check_recomputation(model: nn.Module, modules: Union[str, Sequence[str]],
                         norm: str) -> None:
    """Refuse gradient checkpointing that fails with several views."""
    bare = unwrap(model)
    modules = [modules] if isinstance(modules, str) else modules
    # The reentrant kind, of mmengine, mmpretrain or timm.
    reentrant = [*modules, *(
        name for name, module in bare.named_modules()
        if True in (getattr(module, 'with_cp', None),
                    getattr(module, 'grad_checkpointing', None)))]
    names = reentrant + [
        name for name, module in bare.named_modules()
        if hasattr(module, '_checkpoint_wrapped_module')]
    if not names:
        return
    found = f'Gradient checkpointing is on ({first_names(names, 2)})'
    static = getattr(model, 'static_graph', False)
    if (reentrant and is_model_wrapper(model)
            and (not static or model.broadcast_buffers)):
        raise ValueError(
            f'{found}, and the backbone runs more than once a step. '
            'In several processes this needs\n'
            "    model_wrapper_cfg = dict(type='MMDistributedDataParallel', "
            'static_graph=True, broadcast_buffers=False)\n'
            'in the config. With FSDP, switch it off and set recompute=True '
            'of BlockFSDPStrategy.')
    first = next(bare.backbone.parameters())
    for name in modules:
        if any(first is p for p in attrgetter(name)(bare).parameters()):
            raise ValueError(
                f'activation_checkpointing: {name!r} takes the images '
                'themselves, and would get no gradient. Name its later parts '
                'one by one.')
    bare.backbone.train()
    if norm != 'shared' and active_batch_norms(bare.backbone):
        raise ValueError(
            f'{found}, but norm={norm!r} of the hook that makes further views '
            'treats batch norm in a way that the recomputation does not know: '
            "gradients or statistics would be wrong. Set norm='shared' there, "
            "freeze the backbone's batch norm (norm_eval=True), or switch "
            'checkpointing off.')
