"""Fixed positions of patches."""
from typing import Tuple

import torch


def sincos_positions(grid: Tuple[int, int], dim: int) -> torch.Tensor:
    """Encode the column of a patch, then its row, by sines and cosines.

    Args:
        grid (tuple[int]): h and w.
        dim (int): D, a multiple of 4.

    Returns:
        Tensor: (h * w, D), float64, row by row.

    Source: I-JEPA's code.

    Example:
        >>> sincos_positions((2, 3), 8).shape
        torch.Size([6, 8])
    """
    place = torch.arange(grid[0] * grid[1])
    rate = 10000**-torch.linspace(0, 1, dim // 4 + 1, dtype=torch.float64)[:-1]
    angles = [torch.outer(axis.double(), rate)
              for axis in (place % grid[1], place // grid[1])]
    return torch.cat(
        [f(angle) for angle in angles for f in (torch.sin, torch.cos)], 1)
