"""Retrieval by blocks against the whole matrix of similarities."""
from typing import Callable, Tuple

import numpy as np
import torch

from csd_mmpretrain.evaluation.retrieval import RankedPositives
from csd_mmpretrain.evaluation.similarity import unit_features
from csd_mmpretrain.utils.measure import peak_growth, seconds_now

HEADER = ('', 'seconds', 'peak memory in MiB')
Features = Tuple[torch.Tensor, ...]


def make_features(num: int, channels: int, num_classes: int,
                  device: str) -> Features:
    """Draw features of classes that overlap.

    Returns:
        tuple[Tensor]: Features (num, channels), float32, and labels (num,),
        int64, of the queries, then of the gallery.
    """
    generator = torch.Generator().manual_seed(0)
    centers = 0.2 * torch.randn(num_classes, channels, generator=generator)
    parts = []
    for _ in ('queries', 'gallery'):
        labels = torch.randint(num_classes, (num, ), generator=generator)
        noise = torch.randn(num, channels, generator=generator)
        parts += [noise.add_(centers[labels]), labels]
    return tuple(part.to(device) for part in parts)


def measure_ranking(rank: Callable[..., RankedPositives], features: Features,
                    **options: float) -> Tuple[float, float, RankedPositives]:
    """Measure ``rank(*features, **options)``.

    Returns:
        tuple[float, float, RankedPositives]: Seconds, growth of the memory in
        MiB, and the result.
    """
    device = features[0].device.type
    rank(*(part[:1] for part in features))  # loads libraries
    found = []

    def work() -> None:
        start = seconds_now(device)
        found.append(rank(*features, **options))
        found.append(seconds_now(device) - start)

    grown = peak_growth(work, device)
    ranked, seconds = found
    return seconds, grown, RankedPositives(*(part.cpu() for part in ranked))


def rank_by_sorting(queries: torch.Tensor, query_labels: torch.Tensor,
                    gallery: torch.Tensor,
                    labels: torch.Tensor) -> RankedPositives:
    """Rank by the whole matrix of similarities and a full sort of each row."""
    cosines = unit_features('queries', queries) @ unit_features(
        'gallery', gallery).T
    cosines, names = cosines.cpu().numpy(), labels.cpu().numpy()
    first, precision, counts = [], [], []
    for row, label in zip(cosines, query_labels.tolist()):
        hits = names == label
        # Equally similar ones of others come first.
        ranks = np.flatnonzero(hits[np.lexsort((hits, -row))]) + 1
        first.append(ranks[0] if len(ranks) else 0)
        counts.append(len(ranks))
        precision.append((np.arange(1, len(ranks) + 1) / ranks).mean()
                         if len(ranks) else np.nan)
    return RankedPositives(*map(torch.tensor, (first, precision, counts)))


def compare_ranks(blocks: RankedPositives,
                  reference: RankedPositives) -> Tuple[int, float]:
    """Compare two rankings of the same queries.

    Returns:
        tuple[int, float]: Queries with another first rank, and the largest
        difference of their average precision.
    """
    difference = blocks.average_precision - reference.average_precision
    return (int((blocks.first != reference.first).sum()),
            float(difference.nan_to_num().abs().max()))
