"""Mixed precision in bfloat16, on any device."""
from contextlib import contextmanager
from typing import Iterator

import torch
from mmengine.optim import OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Run the forward pass under bfloat16 autocast, on a GPU or a CPU.

    bfloat16 has the range of float32, so the loss is not scaled. Weights,
    gradients and optimizer stay in float32.

    Args:
        optimizer (dict | Optimizer): The optimizer.
        accumulative_counts (int): Steps between two updates. Defaults to 1.
        clip_grad (dict, optional): Gradient clipping. Defaults to None.

    Source: choice; mmengine's ``AmpOptimWrapper`` needs a GPU.

    Example:
        ::

            optim_wrapper = dict(
                type='BFloat16OptimWrapper',
                optimizer=dict(type='AdamW', lr=1e-4),
                clip_grad=dict(max_norm=5.0))
    """

    cast_dtype = torch.bfloat16

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(
                device, self.cast_dtype):
            yield
