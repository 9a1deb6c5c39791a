"""A stop at the first loss that is not finite."""
import math
from typing import Dict, Optional

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner, find_latest_checkpoint
from mmpretrain.registry import HOOKS

from csd_mmpretrain.utils.unwrap import unwrap
from csd_mmpretrain.utils.wording import first_names

SHOWN = 20


@HOOKS.register_module()
class FiniteCheckHook(Hook):
    """Stop a training whose loss is nan or infinite, and say where.

    After each step the losses are checked, and the gradient norm that
    ``clip_grad`` logs. mmengine has already copied both to the host, so
    nothing waits. The error names the step, the losses, the images of the
    batch and the last checkpoint. With a gradient scaler, which skips steps
    with infinite gradients, the norm is not checked. Without ``clip_grad``,
    bad gradients show one step later, in the losses of the next batch.

    Before a checkpoint is written, its parameters are checked, so that the
    last checkpoint is always a good one.

    In distributed runs, a process names its own batch; torchrun, Slurm and
    mpirun then end the others. If several report, look at the one whose
    ``loss_cls`` is bad: other losses may see the features of all.

    Args:
        enabled (bool): Whether to check at all. Defaults to True.

    Raises:
        FloatingPointError: If a loss, the gradient norm, or a parameter that
            would be saved is nan or infinite.

    Example:
        >>> default_hooks = dict(finite_check=dict(type='FiniteCheckHook'))
    """

    # After RuntimeInfoHook, which copies the losses to the host, and before
    # hooks that keep or save the weights.
    priority = 'HIGH'

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

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
        buffers = {name for name, _ in unwrap(runner.model).named_buffers()}
        bad = [
            name for name, value in checkpoint['state_dict'].items()
            if name not in buffers and isinstance(value, torch.Tensor)
            and not value.isfinite().all()
        ]
        if bad:
            raise FloatingPointError(
                f'The checkpoint of step {checkpoint["meta"]["iter"]} is not '
                f'written, as {len(bad)} of its parameters are not finite: '
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
            f'needs a new start from it: --cfg-options load_from={last}.')
