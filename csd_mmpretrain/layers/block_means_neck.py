"""The mean patches of several blocks side by side, for a linear probe."""
from typing import Tuple

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import nn


@MODELS.register_module()
class BlockMeansNeck(BaseModule):
    """Concatenate the mean patches of the last blocks, and normalize them.

    The batch norm takes the place of a norm for each block, so that a linear
    layer behind it learns at one rate from all channels.

    Args:
        in_channels (int): C, the channels of a block.
        num_blocks (int): How many of the backbone's outputs, the last ones.
            Defaults to 1.

    Raises:
        ValueError: If the backbone gives fewer outputs, or no maps.

    Source: DSeq-JEPA, linear probing, whose two probes have the last block
    and the last four.

    Example:
        ::

            backbone=dict(type='VisionTransformer', arch='deit-small',
                          out_type='featmap', out_indices=[8, 9, 10, 11]),
            neck=dict(type='BlockMeansNeck', in_channels=384, num_blocks=4),
            head=dict(type='LinearClsHead', in_channels=4 * 384, ...)
    """

    def __init__(self, in_channels: int, num_blocks: int = 1) -> None:
        super().__init__()
        self.num_blocks = num_blocks
        self.norm = nn.BatchNorm1d(num_blocks * in_channels)

    def forward(self, feats: Tuple[torch.Tensor, ...]) -> Tuple[torch.Tensor]:
        if len(feats) < self.num_blocks or feats[-1].dim() != 4:
            raise ValueError(
                f'BlockMeansNeck: num_blocks={self.num_blocks} needs as many '
                f'maps, but the backbone gives {len(feats)} outputs, the last '
                f'of shape {tuple(feats[-1].shape)}. Set its '
                "out_type='featmap' and name the blocks in out_indices.")
        means = [x.mean((2, 3)) for x in feats[-self.num_blocks:]]
        return (self.norm(torch.cat(means, 1)), )
