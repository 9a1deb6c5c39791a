"""Retrieval: Rank-1, Rank-5 and mAP under named protocols."""
from typing import NamedTuple, Optional

import torch

from .similarity import MEMORY, similarity_blocks, unit_features

PROTOCOLS = ('every-9th', 'train-gallery', 'leave-one-out')


class RetrievalSplit(NamedTuple):
    """Who looks for whom; indices of the training images, then the test's.

    Attributes:
        queries (Tensor): (N,), int64.
        gallery (Tensor): (M,), int64.
        own (Tensor, optional): (N,), int64: which gallery item is the query
            itself and is left out; None where no query is in the gallery.
    """

    queries: torch.Tensor
    gallery: torch.Tensor
    own: Optional[torch.Tensor]


class RankedPositives(NamedTuple):
    """Where each query finds the gallery images of its class.

    Attributes:
        first (Tensor): (N,), int64, the rank of the first, from 1; 0 where
            there is none.
        average_precision (Tensor): (N,), float64; nan where there is none.
        counts (Tensor): (N,), int64, how many there are.
    """

    first: torch.Tensor
    average_precision: torch.Tensor
    counts: torch.Tensor


class RetrievalScores(NamedTuple):
    """What retrieval with features is worth.

    Attributes:
        rank1 (float): Part of the queries whose nearest gallery image is of
            their class.
        rank5 (float): Part with one of their class among the nearest five.
        mean_ap (float): Mean of the average precision over the whole ranking.
        queries (int): Queries that count.
        left_out (int): Queries without an image of their class in the
            gallery; they do not count.
        gallery (int): Images that a query is compared with.
    """

    rank1: float
    rank5: float
    mean_ap: float
    queries: int
    left_out: int
    gallery: int


def split_protocol(protocol: str, num_train: int,
                   num_test: int) -> RetrievalSplit:
    """Choose queries and gallery by a protocol's name.

    ``every-9th``: the first test image and every 9th after it look for the
    training images and the other test images. ``train-gallery``: all test
    images look for the training images. ``leave-one-out``: each test image
    looks for the other test images. Numbers of different protocols are not
    comparable.

    Args:
        protocol (str): One of the three.
        num_train (int): Training images.
        num_test (int): Test (or validation) images.

    Returns:
        RetrievalSplit: Indices; test image i has the index ``num_train + i``.

    Raises:
        ValueError: If there is no such protocol, or nothing to look for.

    Source: ``every-9th`` from "Cross-level Multi-instance Distillation for
    Self-Supervised Fine-Grained Visual Categorization", 2024; which of nine
    is the query is a choice. ``leave-one-out`` is the standard of metric
    learning (Song et al. 2016).

    Example:
        >>> split_protocol('every-9th', 2, 11).queries
        tensor([ 2, 11])
    """
    check_protocol(protocol)
    train, test = torch.arange(num_train), torch.arange(num_test) + num_train
    if protocol == 'train-gallery':
        split = RetrievalSplit(test, train, None)
    elif protocol == 'leave-one-out':
        split = RetrievalSplit(test, test, torch.arange(num_test))
    else:
        chosen = torch.arange(num_test) % 9 == 0
        split = RetrievalSplit(test[chosen], torch.cat([train, test[~chosen]]),
                               None)
    if not len(split.queries) or len(split.gallery) == (split.own is not None):
        raise ValueError(
            f'Retrieval, {protocol}: {num_train} training images and '
            f'{num_test} test images leave nothing to look for. Give more '
            'images, or choose another protocol.')
    return split


def can_find(split: RetrievalSplit, labels: torch.Tensor) -> bool:
    """Tell whether any query has an image of its class to find.

    Args:
        split (RetrievalSplit): Of :func:`split_protocol`.
        labels (Tensor): int64, of the training images, then the test's.

    Returns:
        bool: Whether one has, other than itself.

    Example:
        >>> can_find(split_protocol('leave-one-out', 0, 2), torch.arange(2))
        False
    """
    classes, counts = labels[split.gallery].unique(return_counts=True)
    found = classes[counts > (split.own is not None)]
    return bool(torch.isin(labels[split.queries], found).any())


def check_protocol(protocol: str) -> None:
    """Check the name of a protocol.

    Args:
        protocol (str): The name.

    Raises:
        ValueError: If there is no such protocol.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f'There is no retrieval protocol {protocol!r}; '
                         f'choose one of {", ".join(PROTOCOLS)}.')


def rank_positives(queries: torch.Tensor,
                   query_labels: torch.Tensor,
                   gallery: torch.Tensor,
                   gallery_labels: torch.Tensor,
                   own: Optional[torch.Tensor] = None,
                   memory: float = MEMORY) -> RankedPositives:
    """Rank the gallery by cosine for each query, and find its class there.

    Ties: of equally similar gallery images, those of other classes come
    first, so that features which are all the same are worth nothing. No
    similarity matrix of all pairs is ever in memory.

    Args:
        queries (Tensor): (N, C), floating, on any device.
        query_labels (Tensor): (N,), int64.
        gallery (Tensor): (M, C), floating, on the same device.
        gallery_labels (Tensor): (M,), int64.
        own (Tensor, optional): (N,), int64: the gallery item that is the
            query itself, and is left out. Defaults to None.
        memory (float): MiB for a block of similarities. Defaults to 256.

    Returns:
        RankedPositives: One entry per query, on the device of the features.

    Raises:
        ValueError: If shapes do not fit, or features are not finite.

    Source: the average precision is the mean, over the images of the query's
    class, of the precision at their ranks. The order of ties is a choice.

    Example:
        >>> import torch
        >>> rank_positives(torch.tensor([[1., 0]]), torch.tensor([7]),
        ...                torch.eye(2), torch.tensor([5, 7])).first
        tensor([2])
    """
    device = queries.device
    _check_labels('query', queries, query_labels)
    _check_labels('gallery', gallery, gallery_labels)
    queries = unit_features('queries', queries)
    gallery_labels, by_class = gallery_labels.to(device).sort()
    gallery = unit_features('gallery', gallery)[by_class]
    query_labels = query_labels.to(device)
    start = torch.searchsorted(gallery_labels, query_labels)
    counts = torch.searchsorted(
        gallery_labels, query_labels, right=True) - start
    if own is not None:
        places = torch.empty_like(by_class)
        places[by_class] = torch.arange(len(by_class), device=device)
        own = places[own.to(device)]
    # Queries of a block have similarly many positives, so little is padded.
    order = counts.argsort()
    first = torch.zeros_like(counts)
    precision = queries.new_zeros(len(queries), dtype=torch.float64)
    for rows, cosines in similarity_blocks(
            queries[order], gallery, None if own is None else own[order],
            memory):
        rows = order[rows]
        most = int(counts[rows].max())
        if not most:
            continue
        # Each row holds its positives, rising, after -inf in free places.
        steps = torch.arange(most, device=device)
        columns = (start[rows, None] + steps).clamp(max=len(gallery) - 1)
        positives = cosines.gather(1, columns)
        positives[steps >= counts[rows, None]] = -torch.inf
        positives = _sorted_rows(positives)
        cosines = _sorted_rows(cosines)
        above = _at_least(cosines, positives) - _at_least(positives, positives)
        rank = (most - steps).double()
        found = torch.isfinite(positives)
        precision[rows] = (found * rank / (rank + above)).sum(1)
        first[rows] = torch.where(found[:, -1], 1 + above[:, -1], 0)
        counts[rows] = found.sum(1)
    return RankedPositives(first, precision / counts, counts)


def _check_labels(name: str, features: torch.Tensor,
                  labels: torch.Tensor) -> None:
    if labels.shape != features.shape[:1]:
        raise ValueError(f'{name}_labels have the shape {tuple(labels.shape)}'
                         f', but there are {len(features)} features; expected '
                         'one label each.')


def _sorted_rows(values: torch.Tensor) -> torch.Tensor:
    """Sort rows; on a CPU with NumPy, 20 times as fast as torch."""
    if values.device.type != 'cpu':
        return values.sort(1).values
    values.numpy().sort(1)
    return values


def _at_least(rows: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Count in each row those that are no less than each value."""
    return rows.size(1) - torch.searchsorted(rows, values)


def retrieval_scores(queries: torch.Tensor,
                     query_labels: torch.Tensor,
                     gallery: torch.Tensor,
                     gallery_labels: torch.Tensor,
                     own: Optional[torch.Tensor] = None,
                     memory: float = MEMORY) -> RetrievalScores:
    """Compute Rank-1, Rank-5 and mAP.

    A query without an image of its class in the gallery cannot succeed: it is
    left out and counted in ``left_out``.

    Args:
        queries (Tensor): (N, C), floating.
        query_labels (Tensor): (N,), int64.
        gallery (Tensor): (M, C), floating.
        gallery_labels (Tensor): (M,), int64.
        own (Tensor, optional): (N,), int64, as in :func:`rank_positives`.
        memory (float): MiB for a block of similarities. Defaults to 256.

    Returns:
        RetrievalScores: Means over the queries that count.

    Raises:
        ValueError: If no query has an image of its class in the gallery,
            shapes do not fit, or features are not finite.

    Example:
        >>> import torch
        >>> retrieval_scores(torch.eye(2), torch.tensor([0, 1]), torch.eye(2),
        ...                  torch.tensor([0, 1])).rank1
        1.0
    """
    ranked = rank_positives(queries, query_labels, gallery, gallery_labels,
                            own, memory)
    counted = ranked.counts > 0
    if not counted.any():
        raise ValueError(
            f'None of the {len(counted)} queries has an image of its class in '
            f'the gallery of {len(gallery)} images. Give a gallery with the '
            'classes of the queries.')
    first = ranked.first[counted]
    return RetrievalScores(
        (first <= 1).double().mean().item(),
        (first <= 5).double().mean().item(),
        ranked.average_precision[counted].mean().item(), len(first),
        len(counted) - len(first), len(gallery) - (own is not None))


def evaluate_protocol(protocol: str,
                      train: torch.Tensor,
                      train_labels: torch.Tensor,
                      test: torch.Tensor,
                      test_labels: torch.Tensor,
                      memory: float = MEMORY) -> RetrievalScores:
    """Compute Rank-1, Rank-5 and mAP under a protocol.

    Args:
        protocol (str): A name of :func:`split_protocol`.
        train (Tensor): (N, C), floating, features of the training images.
        train_labels (Tensor): (N,), int64.
        test (Tensor): (M, C), features of the test images, in their order.
        test_labels (Tensor): (M,), int64.
        memory (float): MiB for a block of similarities. Defaults to 256.

    Returns:
        RetrievalScores: Not to be compared with those of other protocols.

    Raises:
        ValueError: As :func:`split_protocol` and :func:`retrieval_scores`.
    """
    split = split_protocol(protocol, len(train), len(test))
    if protocol == 'train-gallery':
        return retrieval_scores(test, test_labels, train, train_labels, None,
                                memory)
    if protocol == 'leave-one-out':
        return retrieval_scores(test, test_labels, test, test_labels,
                                split.own, memory)
    features = torch.cat([train, test])
    labels = torch.cat([train_labels, test_labels])
    queries, gallery = split.queries, split.gallery
    return retrieval_scores(features[queries], labels[queries],
                            features[gallery], labels[gallery], split.own,
                            memory)
