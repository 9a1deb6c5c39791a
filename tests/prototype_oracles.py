"""Heads with the weights of the published ST-ProtoPNet's numbers."""
import torch

from csd_mmpretrain.methods.st_protopnet import STProtoPNetHead
from csd_mmpretrain.methods.st_protopnet.st_protopnet_head import BRANCHES


def tensors(numbers):
    """Turn the arrays of an oracle into tensors."""
    return {key: torch.as_tensor(value) for key, value in numbers.items()}


def head_with_weights(numbers, form):
    """Build a head of the same size, in float64, and load its weights."""
    classes, prototypes = numbers['trivial_last_layer'].shape
    channels, in_channels = numbers['trivial_conv0_weight'].shape
    head = STProtoPNetHead(
        classes, in_channels, prototypes // classes, channels, form).double()
    with torch.no_grad():
        for name in BRANCHES:
            branch = getattr(head, name)
            for conv, layer in (('conv0', branch.add_on[0]),
                                ('conv1', branch.add_on[2])):
                layer.weight.copy_(
                    numbers[f'{name}_{conv}_weight'][..., None, None])
                layer.bias.copy_(numbers[f'{name}_{conv}_bias'])
            branch.prototypes.copy_(numbers[f'{name}_prototypes'])
            branch.last_layer.weight.copy_(numbers[f'{name}_last_layer'])
    return head
