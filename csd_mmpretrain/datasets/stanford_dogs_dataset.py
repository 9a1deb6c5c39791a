"""Stanford Dogs: 120 breeds of dogs."""
import os
from pathlib import Path
from typing import Any, Iterator, List

import mat4py
import numpy as np
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from .release_folder import check_folder, find_folder

RELEASE_PAGE = 'http://vision.stanford.edu/aditya86/ImageNetDogs/'
NUM_CLASSES = 120


def _flatten(value: Any) -> Iterator[Any]:
    """The plain values of nested lists and arrays, in order."""
    if isinstance(value, (list, tuple, np.ndarray)):
        for item in value:
            yield from _flatten(item)
    else:
        yield value


def _read_mat(path: str) -> dict:
    """Read a .mat file with mat4py, or what it cannot read with scipy."""
    try:
        return mat4py.loadmat(path)
    except Exception as error:
        reason = error
    try:
        from scipy.io import loadmat
    except ImportError:
        raise ValueError(
            f'{path}: mat4py cannot read it ({reason}). Install scipy, '
            'which reads more kinds of .mat files (pip install scipy), or '
            f'unpack the release again: {RELEASE_PAGE}') from None
    try:
        return loadmat(path)
    except Exception as error:
        raise ValueError(f'{path}: not a readable .mat file ({error}). '
                         'Unpack the release again: '
                         f'{RELEASE_PAGE}') from None


@DATASETS.register_module()
class StanfordDogs(BaseDataset):
    """Stanford Dogs: 120 breeds, 12000 training and 8580 test images.

    The folder::

        data_root
        ├── Images
        │   ├── n02085620-Chihuahua
        │   └── ...
        └── lists                (or its files beside Images)
            ├── train_list.mat
            └── test_list.mat

    The lists' labels count from 1, ``gt_label`` from 0. Class names are the
    folders' names without their WordNet number; they are known once the list
    is read, so ``CLASSES`` is None after ``lazy_init=True``.

    Args:
        data_root (str): The folder into which ``images.tar`` and
            ``lists.tar`` of the release are unpacked.
        split (str): 'train' or 'test'. Defaults to 'train'.
        **kwargs: Arguments of :class:`mmpretrain.datasets.BaseDataset`:
            ``pipeline``, ``test_mode``, ``indices``, ``lazy_init``, ...

    Raises:
        ValueError: If ``split`` is unknown, or the list is in disorder.
        FileNotFoundError: If the folder or one of its parts is missing.

    Example:
        >>> from csd_mmpretrain.datasets import StanfordDogs
        >>> StanfordDogs('data/stanford_dogs', split='test')
        Dataset StanfordDogs
            Number of samples:  8580
            Number of categories:       120
            Root of dataset:    data/stanford_dogs
            Split:      test
    """

    def __init__(self, data_root: str, split: str = 'train', **kwargs):
        if split not in ('train', 'test'):
            raise ValueError(f'StanfordDogs: split={split!r}, expected train '
                             'or test; the release has no validation list.')
        self.split = split
        root = Path(data_root).expanduser()
        folder = 'lists' if (root / 'lists').is_dir() else ''
        super().__init__(
            ann_file=os.path.join(folder, f'{split}_list.mat'),
            data_root=str(root),
            data_prefix=find_folder(root / 'Images', ('images', )).name,
            **kwargs)

    def load_data_list(self) -> List[dict]:
        """Read the split's list.

        Returns:
            list[dict]: ``img_path`` (str) and ``gt_label`` (int, from 0).
        """
        check_folder('StanfordDogs', self.data_root,
                     [self.img_prefix, self.ann_file],
                     'Images/, lists/train_list.mat and lists/test_list.mat',
                     RELEASE_PAGE)
        mat = _read_mat(self.ann_file)
        files = list(_flatten(mat.get('file_list', [])))
        labels = [int(label) - 1 for label in _flatten(mat.get('labels', []))]
        if (len(files) != len(labels)
                or set(labels) != set(range(NUM_CLASSES))):
            raise ValueError(
                f'{self.ann_file}: found {len(files)} files, {len(labels)} '
                f'labels and {len(set(labels))} classes, expected one label '
                f'for every file, and all of 1..{NUM_CLASSES} among them. '
                f'Unpack the release again: {RELEASE_PAGE}')
        breeds = {
            label: file.split('/')[0].partition('-')[2]
            for file, label in zip(files, labels)
        }
        self._metainfo.setdefault(
            'classes', tuple(breeds[i] for i in range(NUM_CLASSES)))
        return [
            dict(img_path=os.path.join(self.img_prefix, file), gt_label=label)
            for file, label in zip(files, labels)
        ]

    def extra_repr(self) -> List[str]:
        """Lines of ``repr`` beyond those of every dataset."""
        return [f'Root of dataset: \t{self.data_root}',
                f'Split: \t{self.split}']
