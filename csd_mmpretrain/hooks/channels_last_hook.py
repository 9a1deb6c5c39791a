"""Channels-last memory format for convolutional networks."""
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.utils.unwrap import unwrap


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Give images to a convolutional backbone in channels-last memory format.

    Convolutions then run in that format throughout. The numbers are the same
    up to rounding; on CPUs and tensor cores the step is faster. The weights
    keep their format: DDP mixes up the first gradients of weights whose
    format changes after it has wrapped the model.

    Example:
        >>> default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
    """

    def before_run(self, runner: Runner) -> None:
        backbone = unwrap(runner.model).backbone
        self._handle = backbone.register_forward_pre_hook(
            lambda _, args:
            (args[0].contiguous(memory_format=torch.channels_last), *args[1:]))

    def after_run(self, runner: Runner) -> None:
        self._handle.remove()
