"""The class tokens of several blocks side by side, for a linear probe."""
from typing import Tuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS


@MODELS.register_module()
class LastBlocksNeck(BaseModule):
    """Concatenate the class tokens of a transformer's last blocks.

    Of outputs (B, C) or (B, tokens, C) it gives (B, num_blocks * C). Each
    token gets a layer norm without weights first: mmpretrain's backbones
    apply their final norm to the last block alone.

    Args:
        num_blocks (int): How many of the backbone's outputs, the last ones.
            Defaults to 4.
        patch_mean (bool): Append the mean of the last block's patch tokens
            (C more); needs the backbone's ``out_type='raw'``. Defaults to
            False.
        num_prefix_tokens (int): Leading tokens that are no patches. Defaults
            to 1.

    Raises:
        ValueError: If ``num_blocks`` is less than 1, or the backbone gives
            fewer outputs, or not the tokens that are needed.

    Source: the linear evaluation of DINO (Caron et al. 2021): four blocks of
    a ViT-S; one block and the mean of the patches for a ViT-B. The norm
    without weights is a choice; a linear layer makes up for them.

    Example:
        ::

            backbone=dict(type='VisionTransformer', arch='deit-small',
                          out_indices=[8, 9, 10, 11]),
            neck=dict(type='LastBlocksNeck', num_blocks=4),
            head=dict(type='LinearClsHead', in_channels=4 * 384, ...)
    """

    def __init__(self,
                 num_blocks: int = 4,
                 patch_mean: bool = False,
                 num_prefix_tokens: int = 1) -> None:
        super().__init__()
        if num_blocks < 1:
            raise ValueError(f'LastBlocksNeck: num_blocks={num_blocks} must '
                             'be at least 1.')
        self.num_blocks = num_blocks
        self.patch_mean = patch_mean
        self.num_prefix_tokens = num_prefix_tokens

    def forward(self, feats: Tuple[torch.Tensor, ...]) -> Tuple[torch.Tensor]:
        if len(feats) < self.num_blocks:
            raise ValueError(
                f'LastBlocksNeck: num_blocks={self.num_blocks}, but the '
                f'backbone gives {len(feats)} outputs. Name the blocks in its '
                '`out_indices`, such as [8, 9, 10, 11] of 12.')
        last = feats[-1]
        if last.dim() not in (2, 3):
            raise ValueError(
                f'LastBlocksNeck: the backbone gives the shape '
                f'{tuple(last.shape)}, which has no class token. Set its '
                "`out_type='cls_token'`, or 'raw' for patch_mean=True.")
        parts = [
            x[:, 0] if x.dim() == 3 else x for x in feats[-self.num_blocks:]
        ]
        if self.patch_mean:
            if last.dim() != 3 or last.size(1) <= self.num_prefix_tokens:
                raise ValueError(
                    'LastBlocksNeck: patch_mean=True, but the backbone gives '
                    f'the shape {tuple(last.shape)}, without patch tokens. '
                    "Set its `out_type='raw'`.")
            parts.append(last[:, self.num_prefix_tokens:].mean(1))
        return (torch.cat([F.layer_norm(x, x.shape[-1:]) for x in parts],
                          1), )
