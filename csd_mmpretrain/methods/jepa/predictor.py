"""The predictor: features of hidden patches from those of seen ones."""
from typing import Optional, Tuple

import torch
from mmengine.model import BaseModule, ModuleList
from mmpretrain.models.backbones.vision_transformer import (
    TransformerEncoderLayer,
)
from mmpretrain.registry import MODELS
from torch import nn

from csd_mmpretrain.layers.key_mask import KeyMask

from .positions import sincos_positions


@MODELS.register_module()
class JEPAPredictor(BaseModule):
    """A narrow transformer over seen patches and mask tokens.

    Args:
        in_channels (int): D, the channels of the encoder.
        embed_dims (int): Its own width, a multiple of 4. Defaults to 384.
        depth (int): Number of blocks. Defaults to 6.
        num_heads (int): Of its attention. Defaults to 12.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        ValueError: If the width does not fit.

    Source: I-JEPA, predictor. DSeq-JEPA's paper uses the same; its code hides
    the seen patches from it and adds no mask token, which is not followed.

    Example:
        >>> neck = dict(type='JEPAPredictor', in_channels=384)
    """

    def __init__(self,
                 in_channels: int,
                 embed_dims: int = 384,
                 depth: int = 6,
                 num_heads: int = 12,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        if embed_dims % 4 or embed_dims % num_heads:
            raise ValueError(
                f'JEPAPredictor: embed_dims={embed_dims} must be a multiple '
                f'of 4 and of num_heads={num_heads}.')
        self.in_channels = in_channels
        self.embed_dims = embed_dims
        self.embed = nn.Linear(in_channels, embed_dims)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.blocks = ModuleList([
            TransformerEncoderLayer(
                embed_dims, num_heads, 4 * embed_dims,
                norm_cfg=dict(type='LN', eps=1e-6)) for _ in range(depth)])
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.proj = nn.Linear(embed_dims, in_channels)

    def init_weights(self) -> None:
        super().init_weights()
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, context: torch.Tensor, context_index: torch.Tensor,
                context_valid: torch.Tensor, target_index: torch.Tensor,
                target_valid: torch.Tensor,
                grid: Tuple[int, int]) -> torch.Tensor:
        """Predict the features of targets.

        Args:
            context (Tensor): (B, n, D), features of seen patches.
            context_index (Tensor): (B, n), int64, their places, row by row.
            context_valid (Tensor): (B, n), bool: which of them are no
                padding.
            target_index (Tensor): (B, m), int64, places to predict.
            target_valid (Tensor): (B, m), bool: which are no padding.
            grid (tuple[int]): h and w, in patches.

        Returns:
            Tensor: (B, m, D). Of padding, anything.
        """
        positions = sincos_positions(grid, self.embed_dims).to(
            self.mask_token)
        x = torch.cat([
            self.embed(context) + positions[context_index],
            self.mask_token + positions[target_index]], 1)
        with KeyMask(torch.cat([context_valid, target_valid], 1)):
            for block in self.blocks:
                x = block(x)
        return self.proj(self.norm(x[:, context.size(1):]))
