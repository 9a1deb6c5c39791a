"""A stop at the first loss, score or weight that is not finite."""
import math
from typing import Dict, Optional, Sequence

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner, find_latest_checkpoint
from mmpretrain.registry import HOOKS

from csd_mmpretrain.utils.finite import broken_weights
from csd_mmpretrain.utils.unwrap import unwrap
from csd_mmpretrain.utils.wording import first_names

SHOWN = 20


@HOOKS.register_module()
class FiniteCheckHook(Hook):
    """Stop a run whose losses, scores or weights are nan or infinite.

    After each step the losses are checked, and the gradient norm that
    ``clip_grad`` logs. mmengine has already copied both to the host, so
    nothing waits. The error names the step, the losses, the images of the
    batch and the last checkpoint. With a gradient scaler, which skips steps
    with infinite gradients, the norm is not checked. Without ``clip_grad``,
    bad gradients show one step later, in the losses of the next batch.

    Before a training or a test, and before a checkpoint is written, the
    parameters and running statistics are checked, so that the last checkpoint
    is always a good one. In validations and tests the scores are checked.

    In distributed runs, a process names its own batch; torchrun, Slurm and
    mpirun then end the others. If several report, look at the one whose
    ``loss_cls`` is bad: other losses may see the features of all.

    Args:
        enabled (bool): Whether to check at all. Defaults to True.

    Raises:
        FloatingPointError: If a loss, the gradient norm, a score, or a
            weight to start from or to save is nan or infinite.

    Example:
        >>> default_hooks = dict(finite_check=dict(type='FiniteCheckHook'))
    """

    # After RuntimeInfoHook, which copies the losses to the host, and before
    # hooks that keep or save the weights.
    priority = 'HIGH'

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def before_train(self, runner: Runner) -> None:
        bad = broken_weights(unwrap(runner.model)) if self.enabled else []
        if bad:
            raise FloatingPointError(
                f'{len(bad)} weights of the model are not finite before the '
                f'first step: {first_names(bad, SHOWN)}. Choose other '
                'pretrained weights, or another checkpoint.')

    before_test = before_train

    def after_val_iter(self, runner: Runner, batch_idx: int,
                       data_batch: DATA_BATCH = None,
                       outputs: Optional[Sequence] = None) -> None:
        scores = [sample.pred_score.flatten() for sample in outputs or ()
                  if 'pred_score' in sample]
        if self.enabled and scores and not torch.cat(scores).isfinite().all():
            raise FloatingPointError(
                f'The scores of batch {batch_idx + 1} are not finite, so they '
                'are no prediction. Images of the batch: '
                f'{_describe_images(data_batch)}. Look at the images, choose '
                'another checkpoint, or do without half precision (no --amp).')

    after_test_iter = after_val_iter

    def after_train_iter(self, runner: Runner, batch_idx: int,
                         data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        if not self.enabled:
            return
        scalars = runner.message_hub.log_scalars
        keys = [key for key in outputs or () if 'loss' in key]
        if not hasattr(runner.optim_wrapper, 'loss_scaler'):
            keys.append('grad_norm')
        values = {key: scalars[f'train/{key}'].current()
                  for key in keys if f'train/{key}' in scalars}
        bad = {k: v for k, v in values.items() if not math.isfinite(v)}
        if not bad:
            return
        rank = f' on rank {get_rank()}' if get_world_size() > 1 else ''
        raise FloatingPointError(
            f'Step {runner.iter + 1} (epoch {runner.epoch + 1}, batch '
            f'{batch_idx + 1}){rank} is not finite: {_format(bad)} (of all: '
            f'{_format(values)}).\n'
            f'Images of the batch: {_describe_images(data_batch)}.\n'
            f'{_remedy(runner)}')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not self.enabled:
            return
        bad = broken_weights(unwrap(runner.model), checkpoint['state_dict'])
        if bad:
            raise FloatingPointError(
                f'The checkpoint of step {checkpoint["meta"]["iter"]} is not '
                f'written, as {len(bad)} of its weights are not finite: '
                f'{first_names(bad, SHOWN)}.\n{_remedy(runner)}')


def _format(values: Dict[str, float]) -> str:
    return ', '.join(f'{key}={value:.4g}' for key, value in values.items())


def _describe_images(data_batch: DATA_BATCH) -> str:
    batch = data_batch if isinstance(data_batch, dict) else {}
    images = dict.fromkeys(
        str(sample.get('img_path') or f'number {sample.get("sample_idx")}')
        for sample in batch.get('data_samples', []))
    return first_names(list(images), SHOWN) or 'unknown'


def _remedy(runner: Runner) -> str:
    last = find_latest_checkpoint(runner.work_dir)
    remedy = ('Look at the images, lower optim_wrapper.optimizer.lr, set '
              'optim_wrapper.clip_grad=dict(max_norm=5.0), or train without '
              'float16 (no --amp, or BFloat16OptimWrapper).')
    if last is None:
        return f'There is no checkpoint yet. {remedy}'
    return (f'Last good checkpoint: {last}. {remedy} Go on with --resume '
            f'{last}; as that restores the learning rate too, a lower one '
            f'needs a new start from it: --cfg-options load_from={last} '
            '--work-dir NEW.')
