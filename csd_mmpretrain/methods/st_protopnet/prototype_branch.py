"""One branch of ST-ProtoPNet: its map, prototypes and last layer."""
from typing import Tuple

import torch
import torch.nn.functional as F
from torch import nn

from csd_mmpretrain.layers.unit_vectors import unit_vectors

from .objective import initial_last_layer
from .similarity import cosine_map, projection_map, strongest

FORMS = ('full', 'cropped')


class PrototypeBranch(nn.Module):
    """Compare the cells of a map with prototypes, and sum up the evidence.

    Args:
        in_channels (int): Channels of the backbone's map.
        num_classes (int): C.
        num_prototypes (int): K, prototypes of each class.
        channels (int): D, channels of a prototype.
        form (str): ``'full'`` or ``'cropped'``, see ``STProtoPNetHead``.
        upsample (int): How often the map is enlarged.

    Attributes:
        prototypes (Parameter): (C * K, D), of length 1, class by class.
        last_layer (Linear): C * K to C, without bias.

    Source: ST-ProtoPNet. Prototypes have length 1 and any direction from the
    start (choice); in the published code they are long and all positive.

    Example:
        >>> import torch
        >>> branch = PrototypeBranch(1280, 81, 3, 64, 'full', 2)
        >>> branch(torch.rand(4, 1280, 7, 7)).shape
        torch.Size([4, 64, 14, 14])
    """

    def __init__(self, in_channels: int, num_classes: int,
                 num_prototypes: int, channels: int, form: str,
                 upsample: int) -> None:
        super().__init__()
        self.form = form
        self.upsample = upsample
        self.add_on = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1),
            nn.Tanh() if form == 'cropped' else nn.Identity(),
            nn.Conv2d(channels, channels, 1),
            nn.Tanh() if form == 'cropped' else nn.Identity())
        for conv in self.add_on[::2]:
            nn.init.kaiming_normal_(
                conv.weight, mode='fan_out', nonlinearity='relu')
            nn.init.zeros_(conv.bias)
        self.prototypes = nn.Parameter(
            F.normalize(torch.randn(num_classes * num_prototypes, channels)))
        self.last_layer = nn.Linear(
            num_classes * num_prototypes, num_classes, bias=False)
        with torch.no_grad():
            self.last_layer.weight.copy_(
                initial_last_layer(num_classes, num_prototypes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the map that is compared, (B, in_channels, h, w) to D.

        It is enlarged after the convolutions and not before, as published:
        both are linear in the full form and change places without changing
        the result, and D channels are fewer than those of the backbone.
        """
        x = self.add_on(x)
        if self.upsample == 1:
            return x
        return F.interpolate(
            x, scale_factor=self.upsample, mode='bilinear',
            align_corners=False)

    def similarity(self, features: torch.Tensor) -> torch.Tensor:
        """Compute what the logits are made of at each cell, (B, P, h, w)."""
        if self.form == 'cropped':
            return projection_map(features, self.prototypes)
        return F.relu(cosine_map(features, self.prototypes))

    def activations(
            self,
            features: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        """Compute the activations (B, P) for the logits, and for the losses.

        They differ in the cropped form, whose cluster and separation use
        cosines.
        """
        activation = strongest(self.similarity(features))
        if self.form == 'full':
            return activation, activation
        return activation, strongest(cosine_map(features, self.prototypes))

    @torch.no_grad()
    def unit_length(self) -> None:
        """Divide the prototypes by their length."""
        self.prototypes.copy_(unit_vectors(self.prototypes))
