"""Prototypes without a length of their own."""
import torch
import torch.nn.functional as F
from torch import nn

from .unit_vectors import unit_vectors


class UnitPrototypes(nn.Module):
    """Compare features with prototypes by their cosines.

    Args:
        num_prototypes (int): K.
        channels (int): Channels C of a feature and of a prototype.

    Attributes:
        weight (Parameter): (K, C), of any length; drawn from a normal
            distribution.

    Source: the last layer of DINO's heads (Caron et al. 2021), a linear layer
    with weight norm of length 1 and no bias.

    Example:
        >>> import torch
        >>> UnitPrototypes(16, 8)(torch.rand(2, 49, 8)).shape
        torch.Size([2, 49, 16])
    """

    def __init__(self, num_prototypes: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_prototypes, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the cosines, (..., C) to (..., K), in [-1, 1]."""
        return F.linear(unit_vectors(x), F.normalize(self.weight))

    def __len__(self) -> int:
        return len(self.weight)
