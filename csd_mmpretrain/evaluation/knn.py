"""The weighted k-nearest-neighbour classifier that features are judged by."""
from typing import Dict, NamedTuple, Sequence

import torch

from .similarity import MEMORY, nearest

KS = (10, 20, 100, 200)
TEMPERATURE = 0.07


class KNNScores(NamedTuple):
    """How often the neighbours are right.

    Attributes:
        top1 (float): Part of the queries whose class has the most votes.
        top5 (float): Part whose class is among the five with the most.
    """

    top1: float
    top5: float


def check_ks(ks: Sequence[int], gallery: int) -> None:
    """Check that a gallery has as many images as neighbours are asked for.

    Args:
        ks (Sequence[int]): Numbers of neighbours.
        gallery (int): Images of the gallery.

    Raises:
        ValueError: If there is no k, or one is not from 1 to ``gallery``.
    """
    wrong = [k for k in ks if not 1 <= k <= gallery]
    if wrong or not ks:
        raise ValueError(
            f'ks={tuple(ks)}: the gallery has {gallery} images, so the '
            f'numbers of neighbours must be from 1 to {gallery}, and at least '
            'one. Change ks, or give a larger gallery.')


def knn_scores(queries: torch.Tensor,
               query_labels: torch.Tensor,
               gallery: torch.Tensor,
               gallery_labels: torch.Tensor,
               ks: Sequence[int] = KS,
               temperature: float = TEMPERATURE,
               memory: float = MEMORY) -> Dict[int, KNNScores]:
    """Classify queries by their nearest gallery images, and count.

    Each of the k nearest by cosine votes for its class with the weight
    exp(cosine / temperature).

    Ties: a query is right if fewer than one (five) other classes have as many
    votes as its own or more, and its own has any.

    Args:
        queries (Tensor): (N, C), floating, on any device.
        query_labels (Tensor): (N,), int64.
        gallery (Tensor): (M, C), floating, on the same device.
        gallery_labels (Tensor): (M,), int64, 0 or more.
        ks (Sequence[int]): Numbers of neighbours, at most M each. Defaults to
            (10, 20, 100, 200).
        temperature (float): Of the weights, more than 0. Defaults to 0.07.
        memory (float): MiB for a block of similarities. Defaults to 256.

    Returns:
        dict[int, KNNScores]: For each k, in the order given.

    Raises:
        ValueError: If a k is larger than the gallery, the temperature is not
            positive, or features are not finite.

    Source: Wu et al., Unsupervised feature learning via non-parametric
    instance discrimination, 2018; k and temperature as in DINO (Caron et al.
    2021). The order of ties is a choice.

    Example:
        >>> import torch
        >>> knn_scores(torch.eye(2), torch.tensor([0, 1]), torch.eye(2),
        ...            torch.tensor([0, 1]), ks=[1])
        {1: KNNScores(top1=1.0, top5=1.0)}
    """
    check_ks(ks, len(gallery))
    if not temperature > 0:
        raise ValueError(f'temperature={temperature} must be more than 0.')
    cosines, indices = nearest(queries, gallery, max(ks), memory=memory)
    # Relative to the nearest, so that no temperature overflows.
    weights = ((cosines - cosines[:, :1]) / temperature).exp()
    query_labels = query_labels.to(queries.device)
    labels = gallery_labels.to(queries.device)[indices]
    num_classes = 1 + int(max(gallery_labels.max(), query_labels.max()))
    size = max(1, int(memory * 2**20) // (16 * num_classes))
    others = {k: [] for k in ks}
    for start in range(0, len(queries), size):
        rows = slice(start, start + size)
        true = query_labels[rows, None]
        for k in ks:
            votes = weights.new_zeros(len(true), num_classes)
            votes.scatter_add_(1, labels[rows, :k], weights[rows, :k])
            own = votes.gather(1, true)
            ahead = (votes >= own).sum(1) - 1
            others[k].append(
                torch.where(own[:, 0] > 0, ahead, num_classes + 5))
    found = {k: torch.cat(parts) for k, parts in others.items()}
    return {
        k: KNNScores((ahead < 1).double().mean().item(),
                     (ahead < 5).double().mean().item())
        for k, ahead in found.items()
    }
