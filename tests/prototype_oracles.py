"""Numbers of the published ST-ProtoPNet, and heads with their weights."""
from pathlib import Path

import numpy as np
import torch

from csd_mmpretrain.methods.st_protopnet import STProtoPNetHead
from csd_mmpretrain.methods.st_protopnet.st_protopnet_head import BRANCHES

FOLDER = Path(__file__).parent / 'data' / 'st_protopnet'


def oracle(name):
    """Load the tensors of a file."""
    with np.load(FOLDER / f'{name}.npz') as arrays:
        return {key: torch.from_numpy(np.asarray(arrays[key]))
                for key in arrays}


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
