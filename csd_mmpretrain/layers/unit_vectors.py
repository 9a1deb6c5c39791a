"""Unit vectors with a bounded gradient, and margins of their cosines."""
import torch
import torch.nn.functional as F

MIN_NORM = 1e-3


def unit_vectors(x: torch.Tensor) -> torch.Tensor:
    """Divide features by their length, by no less than ``MIN_NORM``.

    The gradient grows by 1 / length: for a zero feature (a dead network) by
    1e3 here, but by 1e12 with torch's default, which would ruin the weights
    in one step. A working network's features are far longer.

    Args:
        x (Tensor): (..., C), floating.

    Returns:
        Tensor: Like ``x``, of length 1 or less.

    Source: choice.

    Example:
        >>> import torch
        >>> unit_vectors(torch.tensor([[3., 4.], [0., 0.]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    return F.normalize(x, dim=-1, eps=MIN_NORM)


def check_margin(owner: str, margin: float) -> None:
    """Raise a ValueError if a margin of cosines lies outside [-1, 1]."""
    if not -1 <= margin <= 1:
        raise ValueError(f'{owner}: margin={margin} is compared with cosines '
                         'and must lie in [-1, 1].')
