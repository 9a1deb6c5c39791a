"""Channels-last memory format for convolutional networks."""
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import nn

from csd_mmpretrain.utils.unwrap import unwrap


def crashes_on_cpus(module: nn.Module) -> bool:
    """Tell a convolution that channels-last images can crash on a CPU.

    The weight's gradient of a convolution with a stride, a 1 x 1 kernel and
    few channels ends the process with a segmentation fault, where the stride
    divides the image's sides. RepVGG, MobileOne and FastViT begin with one.

    Source: all of 3,000 shapes that crashed oneDNN 3.12 (torch 2.14) on a CPU
    with AVX-512, in float32 and bfloat16: 1 to 15 channels of one group. The
    same shapes in torch's own format never did.

    Example:
        >>> crashes_on_cpus(nn.Conv2d(3, 48, 1, stride=2))
        True
    """
    return (isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)
            and module.stride != (1, 1) and module.groups == 1
            and module.in_channels < 16)


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Give images to a convolutional backbone in channels-last memory format.

    Convolutions then run in that format throughout. The numbers are the same
    up to rounding; on CPUs and tensor cores the step is faster. The weights
    keep their format: DDP mixes up the first gradients of weights whose
    format changes after it has wrapped the model. On a CPU, the convolutions
    of :func:`crashes_on_cpus` compute in torch's own format.

    Example:
        >>> default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
    """

    def before_run(self, runner: Runner) -> None:
        backbone = unwrap(runner.model).backbone
        self._handles = [backbone.register_forward_pre_hook(
            _inputs_to(torch.channels_last))]
        if all(weight.is_cpu for weight in backbone.parameters()):
            for module in filter(crashes_on_cpus, backbone.modules()):
                self._handles += [
                    module.register_forward_pre_hook(
                        _inputs_to(torch.contiguous_format)),
                    module.register_forward_hook(
                        lambda module, args, output: output.contiguous(
                            memory_format=torch.channels_last))]

    def after_run(self, runner: Runner) -> None:
        for handle in self._handles:
            handle.remove()


def _inputs_to(memory_format: torch.memory_format):
    return lambda module, args: (
        args[0].contiguous(memory_format=memory_format), *args[1:])
