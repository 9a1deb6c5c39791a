"""A part of a dataset's labels, the same part of every class."""
from typing import Any, Dict, List, Sequence, Union

import numpy as np
from mmengine.dataset import BaseDataset
from mmpretrain.registry import DATASETS

from .samples import source_datasets


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
        list[int]: Rising.

    Raises:
        ValueError: If ``fraction`` is outside of (0, 1].

    Source: choice; stratified as in SimCLR's label fractions (Chen et al.
    2020).

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
class LabelFraction:
    """Train with a part of the labels: a wrapper of any dataset.

    Args:
        dataset (dict | BaseDataset): The whole dataset, with one class per
            image.
        fraction (float): As in :func:`fraction_indices`.
        seed (int): As in :func:`fraction_indices`. Defaults to 0.

    Raises:
        TypeError: If ``dataset`` is another wrapper.
        ValueError: If ``fraction`` is outside of (0, 1], or an image has not
            one class.

    Source: as :func:`fraction_indices`.

    Example:
        ::

            train_dataloader = dict(
                dataset=dict(
                    _delete_=True,
                    type='LabelFraction',
                    fraction=0.1,
                    dataset=dict(type='CUB', data_root='data/CUB_200_2011',
                                 split='train', pipeline=train_pipeline)))
    """

    def __init__(self,
                 dataset: Union[dict, BaseDataset],
                 fraction: float,
                 seed: int = 0) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        if not isinstance(dataset, BaseDataset):
            inner = type(next(source_datasets(dataset))).__name__
            raise TypeError(
                f'LabelFraction: {type(dataset).__name__} is a wrapper. Put '
                f'LabelFraction around {inner} itself, and the other wrapper '
                'around LabelFraction.')
        dataset.full_init()
        labels = [
            dataset.get_data_info(i).get('gt_label')
            for i in range(len(dataset))
        ]
        if not all(isinstance(label, (int, np.integer)) for label in labels):
            raise ValueError('LabelFraction: an image of '
                             f'{type(dataset).__name__} has not one class '
                             'number. Give a dataset with one class per '
                             'image.')
        indices = fraction_indices(labels, fraction, seed)
        self.dataset = dataset.get_subset(indices)

    @property
    def metainfo(self) -> Dict[str, Any]:
        """dict: That of the whole dataset."""
        return self.dataset.metainfo

    @property
    def CLASSES(self) -> Any:
        """tuple[str] | None: Names of the classes."""
        return self.metainfo.get('classes')

    def full_init(self) -> None:
        """Do nothing: the dataset is complete when it is built."""

    def get_data_info(self, idx: int) -> dict:
        """Tell what is known of an image before it is loaded.

        Args:
            idx (int): Its index in this part.

        Returns:
            dict: As the whole dataset tells it.
        """
        return self.dataset.get_data_info(idx)

    def get_cat_ids(self, idx: int) -> List[int]:
        """Tell the class of an image, as ``ClassBalancedDataset`` asks.

        Args:
            idx (int): Its index in this part.

        Returns:
            list[int]: One class.
        """
        return self.dataset.get_cat_ids(idx)

    def get_subset(self, indices: Union[int, Sequence[int]]) -> BaseDataset:
        """Give a part of this part, as ``KFoldDataset`` asks.

        Args:
            indices (int | Sequence[int]): Of images in this part, or how many
                to take from the start.

        Returns:
            BaseDataset: The part.
        """
        return self.dataset.get_subset(indices)

    def get_gt_labels(self) -> np.ndarray:
        """Tell the classes of all images.

        Returns:
            ndarray: (N,), int64.
        """
        return self.dataset.get_gt_labels()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, idx: int) -> Any:
        return self.dataset[idx]
