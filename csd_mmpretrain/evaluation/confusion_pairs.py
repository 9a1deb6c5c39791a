"""Which classes are taken for which."""
from typing import List, NamedTuple

import numpy as np

# Above, ordering the leaves at best takes minutes.
ORDERED_LEAVES = 400


class ConfusedPair(NamedTuple):
    """Images of one class that are taken for another.

    Attributes:
        true (int): Their class.
        predicted (int): The class that they are taken for.
        count (int): How many they are.
        total (int): Images of the true class.
        reverse (int): Images of the other class that are taken for this one.
    """

    true: int
    predicted: int
    count: int
    total: int
    reverse: int


def confusion_counts(labels: np.ndarray, predicted: np.ndarray,
                     num_classes: int) -> np.ndarray:
    """Count the images of each class that are taken for each class.

    Args:
        labels (ndarray): (N, ), int, the true classes.
        predicted (ndarray): (N, ), int, the predicted classes.
        num_classes (int): K.

    Returns:
        ndarray: (K, K), int64: rows are true, columns predicted classes.

    Raises:
        ValueError: If the lengths differ, or a class is none of the K.

    Example:
        >>> confusion_counts([0, 1, 1], [0, 1, 0], 2)
        array([[1, 0],
               [1, 1]])
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if labels.shape != predicted.shape:
        raise ValueError(f'labels have the shape {labels.shape}, predicted '
                         f'classes {predicted.shape}; they must be equal.')
    both = np.concatenate([labels, predicted])
    if both.size and not 0 <= both.min() <= both.max() < num_classes:
        raise ValueError(
            f'The classes go from {both.min()} to {both.max()}, but '
            f'num_classes={num_classes} needs 0 to {num_classes - 1}.')
    counts = np.bincount(
        labels * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def confusion_rates(counts: np.ndarray) -> np.ndarray:
    """Divide each row by its images.

    Args:
        counts (ndarray): (K, K), of :func:`confusion_counts`.

    Returns:
        ndarray: (K, K), float64; 0 in the row of a class without images.
    """
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def worst_pairs(counts: np.ndarray, num: int) -> List[ConfusedPair]:
    """List the pairs of classes with the most images confused.

    Args:
        counts (ndarray): (K, K), of :func:`confusion_counts`.
        num (int): How many pairs at most.

    Returns:
        list[ConfusedPair]: The most images first; of equal ones, the larger
        part of its class, then the order of the classes.

    Example:
        >>> worst_pairs(np.array([[1, 0], [2, 1]]), 5)
        [ConfusedPair(true=1, predicted=0, count=2, total=3, reverse=0)]
    """
    true, predicted = np.nonzero(counts)
    errors = true != predicted
    true, predicted = true[errors], predicted[errors]
    totals = counts.sum(1)
    order = np.lexsort((predicted, true, totals[true],
                        -counts[true, predicted]))[:num]
    return [
        ConfusedPair(int(a), int(b), int(counts[a, b]), int(totals[a]),
                     int(counts[b, a]))
        for a, b in zip(true[order], predicted[order])
    ]


def confusion_order(counts: np.ndarray) -> np.ndarray:
    """Order the classes so that those taken for each other are neighbours.

    Agglomerative clustering with average linkage, where two classes are near
    that are often confused in either direction; up to 400 classes, the leaves
    are turned so that neighbours are as near as can be.

    Args:
        counts (ndarray): (K, K), of :func:`confusion_counts`.

    Returns:
        ndarray: (K, ), a permutation of the classes.

    Raises:
        ImportError: If scipy is missing.

    Source:
        Bar-Joseph et al., Fast optimal leaf ordering for hierarchical
        clustering, 2001 (scipy's ``optimal_ordering``).
    """
    try:
        from scipy.cluster.hierarchy import leaves_list, linkage
        from scipy.spatial.distance import squareform
    except ImportError as error:
        raise ImportError('The order by confusion needs scipy: '
                          'pip install "csd_mmpretrain[bench]".') from error
    if len(counts) < 3:
        return np.arange(len(counts))
    rates = confusion_rates(counts)
    distance = 1 - (rates + rates.T) / 2
    np.fill_diagonal(distance, 0)
    tree = linkage(
        squareform(distance, checks=False),
        'average',
        optimal_ordering=len(counts) <= ORDERED_LEAVES)
    return leaves_list(tree)
