"""How many novel classes there may be, by a score without their labels."""
from typing import List, NamedTuple, Sequence

import numpy as np

from csd_mmpretrain.evaluation.clustering import (
    clustering_scores,
    kmeans_clusters,
)

# Of the photos, in each repeat.
PART = 0.8
# Numbers of clusters that a rehearsal compares, times the true one.
REHEARSED = (0.25, 0.5, 0.75, 1., 1.25, 1.5, 2.)


class Rehearsal(NamedTuple):
    """An estimate for known classes whose labels were hidden.

    Attributes:
        true (int): Classes that were hidden.
        estimates (list[int]): Of each repeat.
    """

    true: int
    estimates: List[int]


def count_scores(features: np.ndarray,
                 labels: np.ndarray,
                 candidates: Sequence[int],
                 repeats: int = 8,
                 seed: int = 0) -> np.ndarray:
    """Score numbers of novel classes by what they do to the known ones.

    All photos are clustered together by k-means into known classes + C
    clusters. With too few clusters known classes merge with novel ones, with
    too many they split; so the score is the accuracy of the clusters on the
    labelled photos. Each repeat takes 80 % of the photos.

    Args:
        features (ndarray): (N, D), floating, of unit length.
        labels (ndarray): (N,), int64, -1 for unlabelled photos.
        candidates (Sequence[int]): The numbers C.
        repeats (int): Of photos and starts. Defaults to 8.
        seed (int): Of both. Defaults to 0.

    Returns:
        ndarray: (repeats, candidates), fractions.

    Raises:
        ImportError: If scipy or scikit-learn is missing.
        ValueError: If there are more clusters than photos, or no known class
            or no unlabelled photo.

    Source: the estimate of DTC (Han et al. 2019) and of Vaze et al. 2022;
    the repeats are a choice.
    """
    random = np.random.default_rng(seed)
    size = int(PART * len(labels))
    num_known = len(np.unique(labels[labels >= 0]))
    if not num_known or (labels >= 0).all():
        raise ValueError(
            f'{num_known} known classes and {(labels < 0).sum()} unlabelled '
            'photos: to count classes both are needed. Give the config of a '
            "discovery, whose training data is dict(type='NovelClasses', "
            '...) with hide=True.')
    if num_known + max(candidates) > size:
        raise ValueError(
            f'{num_known} known classes and {max(candidates)} novel ones make '
            f'more clusters than {size} photos, {PART:.0%} of all. Give lower '
            'numbers, or more photos.')
    scores = np.empty((repeats, len(candidates)))
    for repeat, row in enumerate(scores):
        part = random.permutation(len(labels))[:size]
        known = labels[part] >= 0
        for i, candidate in enumerate(candidates):
            clusters = kmeans_clusters(
                features[part], num_known + candidate, repeat, n_init=2)
            row[i] = clustering_scores(labels[part][known],
                                       clusters[known]).accuracy
    return scores


def best_numbers(scores: np.ndarray,
                 candidates: Sequence[int]) -> np.ndarray:
    """Choose a number in each repeat.

    Args:
        scores (ndarray): (repeats, candidates), as of :func:`count_scores`.
        candidates (Sequence[int]): Rising numbers.

    Returns:
        ndarray: (repeats,), int64: the best one, of equal ones the largest,
        which does not split known classes yet.
    """
    last = scores[:, ::-1].argmax(1)
    return np.asarray(candidates)[len(candidates) - 1 - last]


def rehearse(features: np.ndarray,
             labels: np.ndarray,
             repeats: int = 8,
             seed: int = 0) -> Rehearsal:
    """Estimate a number of classes that is known: half of the known ones.

    Args:
        features (ndarray): (N, D), floating, of unit length.
        labels (ndarray): (N,), int64, -1 for unlabelled photos, which are
            left out.
        repeats (int): Each hides other classes. Defaults to 8.
        seed (int): Of the choice. Defaults to 0.

    Returns:
        Rehearsal: What the score would have said.

    Raises:
        ImportError: If scipy or scikit-learn is missing.
        ValueError: As :func:`count_scores`, or if there is one known class.
    """
    features, labels = features[labels >= 0], labels[labels >= 0]
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(f'{len(classes)} known classes: a rehearsal hides '
                         'half of them, so two are needed. Give more.')
    true = len(classes) // 2
    candidates = sorted({max(1, round(share * true)) for share in REHEARSED})
    random = np.random.default_rng(seed)
    estimates = []
    for repeat in range(repeats):
        hidden = random.permutation(classes)[:true]
        shown = np.where(np.isin(labels, hidden), -1, labels)
        score = count_scores(features, shown, candidates, 1, seed + repeat)
        estimates += best_numbers(score, candidates).tolist()
    return Rehearsal(true, estimates)
