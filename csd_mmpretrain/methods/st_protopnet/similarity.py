"""Similarity of a map's cells and prototypes, by one matrix product."""
import torch
import torch.nn.functional as F

from csd_mmpretrain.layers.unit_vectors import MIN_NORM, unit_vectors


def cosine_map(features: torch.Tensor,
               prototypes: torch.Tensor) -> torch.Tensor:
    """Compute the cosine of each cell and each prototype.

    Args:
        features (Tensor): (B, D, h, w), floating.
        prototypes (Tensor): (P, D), of any length.

    Returns:
        Tensor: (B, P, h, w), in [-1, 1].

    Source: the *full* form, before its ReLU.

    Example:
        >>> import torch
        >>> cosine_map(torch.rand(2, 8, 7, 7), torch.rand(6, 8)).shape
        torch.Size([2, 6, 7, 7])
    """
    return projection_map(
        F.normalize(features, dim=1, eps=MIN_NORM), prototypes)


def projection_map(features: torch.Tensor,
                   prototypes: torch.Tensor) -> torch.Tensor:
    """Project each cell on the direction of each prototype.

    Args:
        features (Tensor): (B, D, h, w); they keep their length.
        prototypes (Tensor): (P, D), of any length.

    Returns:
        Tensor: (B, P, h, w).

    Source: the *cropped* form.

    Example:
        >>> import torch
        >>> projection_map(torch.ones(1, 4, 1, 1), torch.ones(1, 4)).item()
        2.0
    """
    return F.conv2d(features, unit_vectors(prototypes)[:, :, None, None])


def strongest(similarity: torch.Tensor) -> torch.Tensor:
    """Take the maximum over all cells, (B, P, h, w) to (B, P).

    Source: the activation of a prototype.
    """
    return similarity.flatten(2).max(2).values
