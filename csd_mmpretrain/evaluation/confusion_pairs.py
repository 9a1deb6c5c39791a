"""Which classes are confused with which."""
from typing import List, NamedTuple

import numpy as np
from mmpretrain.utils import require

# With more classes, the optimal order takes minutes.
ORDERED_LEAVES = 400


class ConfusedPair(NamedTuple):
    """Images of class ``true`` that are predicted as ``predicted``.

    They are ``count`` of ``total`` images of the class; ``reverse`` images of
    the other class are predicted as this one.
    """

    true: int
    predicted: int
    count: int
    total: int
    reverse: int


def worst_pairs(counts: np.ndarray, num: int) -> List[ConfusedPair]:
    """List the pairs of classes with the most images confused.

    Args:
        counts (ndarray): (K, K), int, rows are true classes.
        num (int): Most pairs to list.

    Returns:
        list[ConfusedPair]: By images, then by the fraction of the true class.

    Example:
        >>> worst_pairs(np.array([[1, 0], [2, 1]]), 5)
        [ConfusedPair(true=1, predicted=0, count=2, total=3, reverse=0)]
    """
    totals = counts.sum(1).tolist()
    pairs = [ConfusedPair(a, b, int(counts[a, b]), totals[a],
                          int(counts[b, a]))
             for a, b in np.argwhere(counts).tolist() if a != b]
    return sorted(pairs, key=lambda pair: (-pair.count, pair.total))[:num]


@require('scipy', 'pip install "csd_mmpretrain[bench]"')
def confusion_order(counts: np.ndarray) -> np.ndarray:
    """Order the classes so that confused ones are neighbors.

    They are leaves of an agglomerative clustering with average linkage, of
    which the order is optimal for up to 400 classes. The distance of two
    classes is 1 minus their mean confusion rate.

    Args:
        counts (ndarray): (K, K), int, rows are true classes.

    Returns:
        ndarray: (K,), a permutation of the classes.

    Raises:
        ImportError: If scipy is missing.

    Source:
        Bar-Joseph et al., Fast optimal leaf ordering for hierarchical
        clustering, 2001 (scipy's ``optimal_ordering``).
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(counts) < 3:
        return np.arange(len(counts))
    rates = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    distance = 1 - (rates + rates.T) / 2
    np.fill_diagonal(distance, 0)
    return leaves_list(
        linkage(
            squareform(distance, checks=False),
            'average',
            optimal_ordering=len(counts) <= ORDERED_LEAVES))
