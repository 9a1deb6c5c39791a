"""Stratified divisions that keep the images of a group together."""
import warnings
from collections import defaultdict
from itertools import permutations
from typing import List, Sequence, Union

import numpy as np
from mmpretrain.utils import require

TRAIN, VAL, TEST = SPLITS = ('train', 'val', 'test')


def count_groups(labels: Sequence[int],
                 groups: Sequence[Union[int, str]]) -> List[int]:
    """Count the groups of each class, from label 0 on."""
    found = defaultdict(set)
    for label, group in zip(labels, groups):
        found[label].add(group)
    return [len(found[label]) for label in range(1 + max(found))]


@require('scikit-learn', 'pip install "csd_mmpretrain[vis]"')
def group_folds(labels: Sequence[int],
                groups: Sequence[Union[int, str]],
                num: int,
                seed: int = 0) -> np.ndarray:
    """Divide images into stratified folds; a group is in one fold.

    Args:
        labels (Sequence[int]): The class of each of N images.
        groups (Sequence[int | str]): The group of each.
        num (int): Number of folds.
        seed (int): Of the order in which groups are dealt. Defaults to 0.

    Returns:
        ndarray: (N,), int64, the fold of each image; -1 for the groups of
        classes that have no other group, because held out, such a class would
        not be trained on.

    Raises:
        ImportError: If scikit-learn is missing.
        ValueError: If there are fewer groups than folds, or no class has an
            image for each.

    Source: scikit-learn's ``StratifiedGroupKFold``, and ``StratifiedKFold``,
    which is faster, where each image is a group of its own.

    Example:
        >>> group_folds([0, 0, 0, 0], ['a', 'a', 'b', 'b'], 2).tolist()
        [0, 0, 1, 1]
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels = np.asarray(labels)
    names, groups = np.unique(groups, return_inverse=True)
    single = np.asarray(count_groups(labels, groups)) == 1
    fixed = np.isin(groups, groups[single[labels]])
    folds = np.full(len(labels), -1)
    free = np.flatnonzero(~fixed)
    left = len(np.unique(groups[free]))
    most = np.bincount(labels[free]).max(initial=0)
    if min(left, most) < num:
        raise ValueError(
            f'{num} parts need at least {num} groups, and a class with {num} '
            f'images. Of the classes with two groups or more there are {left} '
            f'groups, and at most {most} images of a class. Ask for fewer '
            'parts, or add images.')
    kind, together = StratifiedGroupKFold, groups[free]
    if len(names) == len(labels):
        kind, together = StratifiedKFold, None
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='The least populated class')
        for fold, (_, held_out) in enumerate(
                kind(num, shuffle=True, random_state=seed).split(
                    free, labels[free], together)):
            folds[free[held_out]] = fold
    return folds


def divide(labels: Sequence[int],
           groups: Sequence[Union[int, str]],
           parts: int = 5,
           seed: int = 0) -> List[str]:
    """Divide images into training, validation and test, by groups.

    Of the stratified folds one is the test, one the validation, and the
    others are the training: those two that leave the most classes in the
    training, then in the test, then in the validation. A class that would be
    in none of the training gives all its groups to it.

    Args:
        labels (Sequence[int]): The class of each of N images.
        groups (Sequence[int | str]): The group of each.
        parts (int): Number of folds, at least 3. Defaults to 5, so that a
            fifth of the images is tested, and a fifth validates.
        seed (int): As in :func:`group_folds`. Defaults to 0.

    Returns:
        list[str]: ``'train'``, ``'val'`` or ``'test'`` by image. Each class
        is in the training, and no group in two splits.

    Raises:
        ImportError, ValueError: As :func:`group_folds`.

    Source: choice.

    Example:
        >>> divide([0] * 6, [1, 1, 2, 2, 3, 3], parts=3)
        ['val', 'val', 'train', 'train', 'test', 'test']
    """
    labels = np.asarray(labels)
    folds = group_folds(labels, groups, parts, seed)
    counts = np.zeros((parts + 1, 1 + labels.max()), int)
    np.add.at(counts, (folds, labels), 1)  # -1 is the last row

    def coverage(held_out: Sequence[int]) -> List[int]:
        kept = np.delete(counts, held_out, 0).sum(0)
        return [np.count_nonzero(x) for x in (kept, *counts[list(held_out)])]

    test, val = max(permutations(range(parts), 2), key=coverage)
    splits = np.full(len(labels), TRAIN)
    splits[folds == test], splits[folds == val] = TEST, VAL
    lost = ~np.isin(labels, labels[splits == TRAIN])
    _, groups = np.unique(groups, return_inverse=True)
    splits[np.isin(groups, groups[lost])] = TRAIN
    return splits.tolist()
