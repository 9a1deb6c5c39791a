"""A part of a dataset's labels, the same part of every class."""
import copy
from typing import List, Sequence, Union

import numpy as np
from mmengine.dataset import BaseDataset
from mmpretrain.registry import DATASETS

from .samples import labelled_dataset


def fraction_indices(labels: Sequence[int],
                     fraction: float,
                     seed: int = 0) -> List[int]:
    """Choose a part of each class, at least one image of each.

    With the same seed, a smaller part lies within a larger one.

    Args:
        labels (Sequence[int]): (N,), the class of each image.
        fraction (float): More than 0, at most 1. Of a class of n images,
            fraction * n are chosen, rounded half up.
        seed (int): Of the choice. Defaults to 0.

    Returns:
        list[int]: Rising indices.

    Raises:
        ValueError: If ``fraction`` is outside of (0, 1].

    Source: choice; stratified as in SimCLR (Chen et al. 2020).

    Example:
        >>> len(fraction_indices([0] * 10 + [1] * 3, 0.2))
        3
    """
    if not 0 < fraction <= 1:
        raise ValueError(f'fraction={fraction} must be more than 0 and at '
                         'most 1; 0.1 is 10 % of the labels.')
    labels = np.asarray(labels)
    random = np.random.RandomState(seed)
    chosen: List[int] = []
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        chosen += members[:max(1, int(fraction * len(members) + 0.5))].tolist()
    return sorted(chosen)


@DATASETS.register_module()
def LabelFraction(dataset: Union[dict, BaseDataset],
                  fraction: float,
                  seed: int = 0) -> BaseDataset:
    """Train with a part of the labels of any dataset.

    Args:
        dataset (dict | BaseDataset): The whole dataset, with one class per
            image.
        fraction (float): As in :func:`fraction_indices`.
        seed (int): As in :func:`fraction_indices`. Defaults to 0.

    Returns:
        BaseDataset: The dataset with the chosen images alone.

    Raises:
        TypeError: If ``dataset`` is a wrapper of another.
        ValueError: If ``fraction`` is outside of (0, 1], or an image has not
            one class.

    Example:
        >>> cub = dict(type='CUB', data_root='data/CUB_200_2011')
        >>> part = DATASETS.build(
        ...     dict(type='LabelFraction', fraction=0.1, dataset=cub))
    """
    dataset, labels = labelled_dataset('LabelFraction', dataset)
    # BaseDataset.get_subset copies by a memo that outlives its objects, and
    # so may put another dataset in the place of a transform.
    part = copy.copy(dataset)
    part.get_subset_(fraction_indices(labels, fraction, seed))
    return part
