"""Unit vectors with a bounded gradient."""
import torch
import torch.nn.functional as F

MIN_NORM = 1e-3


def unit_vectors(x: torch.Tensor) -> torch.Tensor:
    """Divide features by their length, by no less than ``MIN_NORM``.

    The gradient grows by 1 / length. For a zero feature (a dead network) that
    is 1e3 here, against 1e12 with torch's default, which would ruin the
    weights in one step. Features shorter than ``MIN_NORM``, far below the
    lengths of a network at work, stay shorter than 1.

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
