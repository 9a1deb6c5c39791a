"""CMD's projection from features to prototypes."""
from typing import Optional

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import nn

from csd_mmpretrain.layers.prototypes import UnitPrototypes


@MODELS.register_module()
class CMDNeck(BaseModule):
    """Project features and compare them with unit prototypes.

    Three linear layers with GELU, a unit vector, and its cosines with the
    prototypes, which have no length of their own. CMD has one for images and
    one for regions.

    Args:
        in_channels (int): Channels C of the backbone's features.
        num_prototypes (int): K. Defaults to 65536.
        hidden_channels (int): Of the two hidden layers. Defaults to 2048.
        bottleneck_channels (int): Of the unit vector. Defaults to 256.
        init_cfg (dict, optional): Initialization config. Defaults to None, a
            truncated normal of deviation 0.02 for the linear layers.

    Raises:
        ValueError: If a size is not positive.

    Source: CMD's heads (768, 2048, 2048, 256, weight-normed prototypes),
    which are DINO's.

    Example:
        >>> import torch
        >>> neck = CMDNeck(in_channels=8, num_prototypes=16)
        >>> neck(torch.rand(2, 49, 8)).shape
        torch.Size([2, 49, 16])
    """

    def __init__(self,
                 in_channels: int,
                 num_prototypes: int = 65536,
                 hidden_channels: int = 2048,
                 bottleneck_channels: int = 256,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(
            init_cfg=init_cfg
            or dict(type='TruncNormal', layer='Linear', std=0.02))
        for name, value in (('in_channels', in_channels),
                            ('num_prototypes', num_prototypes),
                            ('hidden_channels', hidden_channels),
                            ('bottleneck_channels', bottleneck_channels)):
            if value <= 0:
                raise ValueError(f'CMDNeck: {name}={value} must be a '
                                 'positive integer.')
        self.in_channels = in_channels
        layers = nn.Sequential(
            nn.Linear(in_channels, hidden_channels), nn.GELU(),
            nn.Linear(hidden_channels, hidden_channels), nn.GELU(),
            nn.Linear(hidden_channels, bottleneck_channels))
        # In the order that the optimizers of older checkpoints know.
        self.prototypes = UnitPrototypes(num_prototypes, bottleneck_channels)
        self.layers = layers
        self._register_load_state_dict_pre_hook(self._rename)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the cosines with the prototypes.

        Args:
            x (Tensor): (..., in_channels).

        Returns:
            Tensor: (..., num_prototypes), in [-1, 1].

        Raises:
            ValueError: If the features do not have ``in_channels`` channels.
        """
        if x.size(-1) != self.in_channels:
            raise ValueError(
                f'CMDNeck: in_channels={self.in_channels}, but the '
                f"backbone's features have {x.size(-1)} channels. Set "
                '`in_channels` to the channels of its last output, or '
                "correct CMD's `layout`.")
        return self.prototypes(self.layers(x))

    def _rename(self, state_dict: dict, prefix: str, *_) -> None:
        """Take over the prototypes of checkpoints of before."""
        old = state_dict.pop(f'{prefix}prototypes', None)
        if old is not None:
            state_dict[f'{prefix}prototypes.weight'] = old
