"""Cosine similarities of many features, block by block."""
from typing import Iterator, Optional, Tuple

import torch
import torch.nn.functional as F

MEMORY = 256
# A similarity, and what sorting it on a GPU takes beside it.
BYTES_PER_PAIR = 28


def unit_features(name: str, features: torch.Tensor) -> torch.Tensor:
    """Divide features by their L2 norm; zero vectors stay zero.

    Args:
        name (str): What an error calls them.
        features (Tensor): (N, C), floating.

    Returns:
        Tensor: (N, C), float32.

    Raises:
        ValueError: If the shape is another, N is 0, or a value not finite.
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
    """Compute the cosines of a block of queries and the gallery at a time.

    Args:
        queries (Tensor): (N, C), of :func:`unit_features`.
        gallery (Tensor): (M, C), the same, on the same device.
        own (Tensor, optional): (N,), int64: the gallery item that is the
            query itself; its cosine becomes -inf. Defaults to None.
        memory (float): MiB for a block and for sorting it; a block has at
            least one query. Defaults to 256.

    Yields:
        tuple[slice, Tensor]: The queries, and cosines (B, M), float32, free
        to be overwritten. They are rounded to 2**-20, as equal features would
        differ by their place otherwise.

    Raises:
        ValueError: If queries and gallery differ in C.
    """
    if queries.size(1) != gallery.size(1):
        raise ValueError(f'Queries have {queries.size(1)} channels, but the '
                         f'gallery has {gallery.size(1)}. Take both from the '
                         'same stage of the same model.')
    size = max(1, int(memory * 2**20) // (BYTES_PER_PAIR * len(gallery)))
    for start in range(0, len(queries), size):
        rows = slice(start, start + size)
        cosines = queries[rows] @ gallery.T
        cosines.mul_(2**20).round_().div_(2**20)
        if own is not None:
            cosines.scatter_(1, own[rows, None], -torch.inf)
        yield rows, cosines


def nearest(queries: torch.Tensor,
            gallery: torch.Tensor,
            k: int,
            own: Optional[torch.Tensor] = None,
            memory: float = MEMORY) -> Tuple[torch.Tensor, torch.Tensor]:
    """Find the k gallery items that are nearest to each query by cosine.

    Args:
        queries (Tensor): (N, C), floating.
        gallery (Tensor): (M, C), floating, on the same device.
        k (int): At most M, or M - 1 with ``own``.
        own (Tensor, optional): As in :func:`similarity_blocks`.
        memory (float): As there.

    Returns:
        tuple[Tensor, Tensor]: Cosines, descending, and gallery indices,
        (N, k) each. Which of equally similar items comes last is undefined.

    Raises:
        ValueError: If features are not finite.

    Example:
        >>> import torch
        >>> nearest(torch.tensor([[1., 0]]), torch.eye(2), 1)[1]
        tensor([[0]])
    """
    queries = unit_features('queries', queries)
    gallery = unit_features('gallery', gallery)
    found = [
        cosines.topk(k, dim=1)
        for _, cosines in similarity_blocks(queries, gallery, own, memory)
    ]
    return tuple(torch.cat(parts) for parts in zip(*found))
