"""Channels-last memory format for convolutional networks."""
from typing import Tuple

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import nn

from csd_mmpretrain.utils.unwrap import unwrap


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Give images to a convolutional backbone in channels-last memory format.

    Convolutions then run in that format throughout. The numbers are the same
    up to rounding; on CPUs and tensor cores the step is faster. The weights
    keep their format: DDP mixes up the first gradients of weights whose
    format changes after it has wrapped the model.

    Example:
        ::

            default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
    """

    def before_run(self, runner: Runner) -> None:
        """Follow the backbone.

        Args:
            runner (Runner): The runner of the training, validation or test.
        """
        backbone = unwrap(runner.model).backbone
        self._handle = backbone.register_forward_pre_hook(_channels_last)

    def after_run(self, runner: Runner) -> None:
        """Leave the backbone.

        Args:
            runner (Runner): The runner.
        """
        self._handle.remove()


def _channels_last(backbone: nn.Module,
                   args: Tuple[torch.Tensor]) -> Tuple[torch.Tensor]:
    return (args[0].contiguous(memory_format=torch.channels_last), *args[1:])
