"""Channels-last memory format for convolutional networks."""
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep a convolutional model's weights in channels-last memory format.

    Convolutions then run in that format throughout. The numbers are the same
    up to rounding; on CPUs and tensor cores the step is faster.

    Example:
        ::

            default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
    """

    def before_run(self, runner: Runner) -> None:
        """Convert the model.

        Args:
            runner (Runner): The runner of the training, validation or test.
        """
        runner.model.to(memory_format=torch.channels_last)
