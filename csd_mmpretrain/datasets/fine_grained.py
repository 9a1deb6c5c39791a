"""Fine-grained datasets that mmpretrain lacks: NABirds and Stanford Dogs."""
import os
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List

import mat4py
import numpy as np
from mmpretrain.registry import DATASETS

from .released_dataset import ReleasedDataset, find_folder

_BIRD_LISTS = ('images.txt', 'image_class_labels.txt',
               'train_test_split.txt', 'classes.txt')
_BIRDS, _BREEDS = 555, 120


@DATASETS.register_module()
class NABirds(ReleasedDataset):
    """NABirds: 555 classes, 23929 training and 24633 test images.

    The folder::

        data_root
        ├── images
        │   ├── 0295
        │   └── ...
        ├── images.txt               <image id> <path>
        ├── image_class_labels.txt   <image id> <class id>
        ├── train_test_split.txt     <image id> <1 for training, else 0>
        └── classes.txt              <class id> <name>

    ``classes.txt`` names a whole tree of classes, of which only the 555
    leaves have images. ``gt_label`` numbers the class ids that occur in
    ``image_class_labels.txt`` from 0, in increasing order. The class names
    come from the lists, so ``CLASSES`` is None after ``lazy_init=True``.

    Args:
        data_root (str): The unpacked folder ``nabirds``.
        split (str): 'train' or 'test'. Defaults to 'train'.
        **kwargs: See :class:`ReleasedDataset`, for errors as well.

    Example:
        >>> test_data = NABirds('data/nabirds', split='test')
    """

    PAGE = 'https://dl.allaboutbirds.org/nabirds'
    LAYOUT = f'images/, {", ".join(_BIRD_LISTS)}'

    def __init__(self, data_root: str, split: str = 'train', **kwargs):
        super().__init__(
            data_root, split, ann_file='images.txt', data_prefix='images',
            **kwargs)

    def load_data_list(self) -> List[dict]:
        paths = [os.path.join(self.data_root, name) for name in _BIRD_LISTS]
        self.check_folder(self.img_prefix, *paths)
        files, labels, training, names = map(self._read_table, paths)
        if not files.keys() == labels.keys() == training.keys():
            raise ValueError(
                f'NABirds: {", ".join(_BIRD_LISTS[:3])} in '
                f"'{self.data_root}' do not list the same images. Unpack the "
                f'release again: {self.PAGE}')
        for path, table, pattern, wanted in (
                (paths[1], labels, r'\d+', 'a whole number'),
                (paths[2], training, '[01]', '0 or 1')):
            for image, value in table.items():
                if not re.fullmatch(pattern, value):
                    raise ValueError(
                        f'{path}: {value!r} after the id {image!r}, expected '
                        f'{wanted}. Unpack the release again: {self.PAGE}')
        leaves = sorted(set(labels.values()), key=int)
        nameless = [leaf for leaf in leaves if leaf not in names]
        if len(leaves) != _BIRDS or nameless:
            raise ValueError(
                f'{paths[1]}: found {len(leaves)} classes, '
                f'{len(nameless)} of them without a name in {_BIRD_LISTS[3]}; '
                f'expected {_BIRDS} with names. Unpack the release '
                f'again: {self.PAGE}')
        self._metainfo.setdefault('classes',
                                  tuple(names[leaf] for leaf in leaves))
        index = {leaf: i for i, leaf in enumerate(leaves)}
        wanted = '1' if self.split == 'train' else '0'
        return [
            dict(img_path=os.path.join(self.img_prefix, file),
                 gt_label=index[labels[image]])
            for image, file in files.items() if training[image] == wanted
        ]

    def _read_table(self, path: str) -> Dict[str, str]:
        """Read lines of ``<id><space><value>``, in order."""
        table: Dict[str, str] = {}
        text = Path(path).read_text(encoding='utf-8-sig', errors='replace')
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            key, _, value = line.strip().partition(' ')
            if not value:
                raise ValueError(f"{path}, line {number}: found {line!r}, "
                                 "expected '<id><space><value>'. Unpack the "
                                 f'release again: {self.PAGE}')
            if key in table:
                raise ValueError(f'{path}, line {number}: the id {key!r} '
                                 'occurs twice. Remove one of its lines.')
            table[key] = value.strip()
        return table


@DATASETS.register_module()
class StanfordDogs(ReleasedDataset):
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
    folders' names without their WordNet number. They come from the list, so
    ``CLASSES`` is None after ``lazy_init=True``.

    Args:
        data_root (str): The folder into which ``images.tar`` and
            ``lists.tar`` of the release are unpacked.
        split (str): 'train' or 'test'. Defaults to 'train'.
        **kwargs: See :class:`ReleasedDataset`, for errors as well.

    Example:
        >>> test_data = StanfordDogs('data/stanford_dogs', split='test')
    """

    PAGE = 'http://vision.stanford.edu/aditya86/ImageNetDogs/'
    LAYOUT = 'Images/, lists/train_list.mat and lists/test_list.mat'

    def __init__(self, data_root: str, split: str = 'train', **kwargs):
        root = Path(data_root).expanduser()
        folder = 'lists' if (root / 'lists').is_dir() else ''
        super().__init__(
            data_root, split,
            ann_file=os.path.join(folder, f'{split}_list.mat'),
            data_prefix=find_folder(root / 'Images', ('images', )).name,
            **kwargs)

    def load_data_list(self) -> List[dict]:
        self.check_folder(self.img_prefix, self.ann_file)
        mat = self._read_mat()
        files = list(_flatten(mat.get('file_list', [])))
        labels = list(_flatten(mat.get('labels', [])))
        if (len(files) != len(labels)
                or set(labels) != set(range(1, _BREEDS + 1))
                or not all(isinstance(file, str) for file in files)):
            raise ValueError(
                f'{self.ann_file}: found {len(files)} files, {len(labels)} '
                f'labels and {len(set(labels))} classes, expected one label '
                f'for every file, and all of 1..{_BREEDS} among them. '
                f'Unpack the release again: {self.PAGE}')
        labels = [int(label) - 1 for label in labels]
        breeds = {
            label: file.split('/')[0].partition('-')[2]
            for file, label in zip(files, labels)
        }
        self._metainfo.setdefault(
            'classes', tuple(breeds[i] for i in range(_BREEDS)))
        return [
            dict(img_path=os.path.join(self.img_prefix, file), gt_label=label)
            for file, label in zip(files, labels)
        ]

    def _read_mat(self) -> dict:
        """Read the list with mat4py, or what that cannot read with scipy."""
        try:
            return mat4py.loadmat(self.ann_file)
        except Exception as error:
            reason = error
        try:
            from scipy.io import loadmat
            return loadmat(self.ann_file)
        except ImportError:
            raise ValueError(
                f'{self.ann_file}: mat4py cannot read it ({reason}). Install '
                'scipy, which reads more kinds of .mat files (pip install '
                'scipy), or unpack the release again: '
                f'{self.PAGE}') from None
        except Exception as error:
            raise ValueError(
                f'{self.ann_file}: not a readable .mat file ({error}). '
                f'Unpack the release again: {self.PAGE}') from None


def _flatten(value: Any) -> Iterator[Any]:
    """The plain values of nested lists and arrays, in order."""
    if isinstance(value, (list, tuple, np.ndarray)):
        for item in value:
            yield from _flatten(item)
    else:
        yield value
