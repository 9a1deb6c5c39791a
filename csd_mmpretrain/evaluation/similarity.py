"""Cosine similarities of many features, block by block."""
from typing import Iterator, Optional, Tuple

import torch
import torch.nn.functional as F

MEMORY = 256
# A similarity, and what sorting it on a GPU takes beside it.
BYTES_PER_PAIR = 28


def unit_features(name: str, features: torch.Tensor) -> torch.Tensor:
    """Divide features by their L2 norm.

    Args:
        name (str): What to call them in an error.
        features (Tensor): (N, C), floating.

    Returns:
        Tensor: (N, C), float32; a feature of zeros stays as it is.

    Raises:
        ValueError: If there is none, the shape is another one, or a value is
            not finite.

    Example:
        >>> import torch
        >>> unit_features('gallery', torch.tensor([[3., 4.]]))
        tensor([[0.6000, 0.8000]])
    """
    if features.dim() != 2 or not features.numel():
        raise ValueError(f'{name} has the shape {tuple(features.shape)}; '
                         'expected (N, C) with at least one feature.')
    if not torch.isfinite(features).all():
        raise ValueError(f'{name}: features that are not finite have no '
                         "similarity; the model's weights are broken. Give "
                         'another checkpoint.')
    return F.normalize(features.float(), dim=1)


def similarity_blocks(
        queries: torch.Tensor,
        gallery: torch.Tensor,
        own: Optional[torch.Tensor] = None,
        memory: float = MEMORY) -> Iterator[Tuple[slice, torch.Tensor]]:
    """Compute cosines of some queries and the whole gallery at a time.

    Args:
        queries (Tensor): (N, C), unit vectors of :func:`unit_features`.
        gallery (Tensor): (M, C), the same, on the same device.
        own (Tensor, optional): (N,), int64: for each query, the gallery item
            that is the query itself; its similarity becomes -inf. Defaults to
            None, where no query is in the gallery.
        memory (float): MiB that a block and the work on it may take; a block
            has at least one query. Defaults to 256.

    Yields:
        tuple[slice, Tensor]: Which queries, and their cosines (B, M),
        float32, which the caller may overwrite.

    Source: choice.

    Example:
        >>> import torch
        >>> for rows, cosines in similarity_blocks(torch.eye(3), torch.eye(3)):
        ...     print(rows, cosines.shape)
        slice(0, 3, None) torch.Size([3, 3])
    """
    if queries.size(1) != gallery.size(1):
        raise ValueError(f'Queries have {queries.size(1)} channels, but the '
                         f'gallery has {gallery.size(1)}. Take both from the '
                         'same stage of the same model.')
    size = max(1, int(memory * 2**20) // (BYTES_PER_PAIR * len(gallery)))
    for start in range(0, len(queries), size):
        rows = slice(start, min(start + size, len(queries)))
        cosines = queries[rows] @ gallery.T
        if own is not None:
            cosines.scatter_(1, own[rows, None], -torch.inf)
        yield rows, cosines


def nearest(queries: torch.Tensor,
            gallery: torch.Tensor,
            k: int,
            own: Optional[torch.Tensor] = None,
            memory: float = MEMORY) -> Tuple[torch.Tensor, torch.Tensor]:
    """Find the nearest gallery items of each query.

    Args:
        queries (Tensor): (N, C), floating.
        gallery (Tensor): (M, C), floating, on the same device.
        k (int): How many, at most M; M - 1 with ``own``.
        own (Tensor, optional): (N,), int64: the gallery item that is the
            query itself, and is left out. Defaults to None.
        memory (float): MiB, as in :func:`similarity_blocks`.

    Returns:
        tuple[Tensor, Tensor]: Cosines (N, k), falling, and indices of gallery
        items (N, k), int64. Which of equally similar items are taken at the
        last place is not defined.

    Raises:
        ValueError: If the gallery has fewer than ``k`` items, or features are
            not finite.

    Example:
        >>> import torch
        >>> nearest(torch.tensor([[1., 0]]), torch.eye(2), 1)[1]
        tensor([[0]])
    """
    there = len(gallery) - (own is not None)
    if not 1 <= k <= there:
        raise ValueError(f'k={k}, but the gallery has {there} images for a '
                         f'query. Choose k from 1 to {there}.')
    queries = unit_features('queries', queries)
    gallery = unit_features('gallery', gallery)
    found = [
        cosines.topk(k, dim=1)
        for _, cosines in similarity_blocks(queries, gallery, own, memory)
    ]
    return (torch.cat([values for values, _ in found]),
            torch.cat([indices for _, indices in found]))
