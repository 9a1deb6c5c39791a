"""NABirds: North American birds, 555 species and plumages."""
import os
from pathlib import Path
from typing import Dict, List

from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from .release_folder import check_folder

RELEASE_PAGE = 'https://dl.allaboutbirds.org/nabirds'
LISTS = ('images.txt', 'image_class_labels.txt', 'train_test_split.txt',
         'classes.txt')
NUM_CLASSES = 555


def read_table(path: str) -> Dict[str, str]:
    """Read a list of ``<id><space><value>`` lines.

    Args:
        path (str): The list; values may contain spaces.

    Returns:
        dict[str, str]: Value by id, in the order of the list.

    Raises:
        ValueError: If a line has no value, or an id occurs twice.
    """
    table: Dict[str, str] = {}
    text = Path(path).read_text(encoding='utf-8', errors='replace')
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        key, _, value = line.strip().partition(' ')
        if not value:
            raise ValueError(f"{path}, line {number}: found {line!r}, "
                             "expected '<id><space><value>'. Unpack the "
                             f'release again: {RELEASE_PAGE}')
        if key in table:
            raise ValueError(f'{path}, line {number}: the id {key!r} occurs '
                             'twice. Remove one of its lines.')
        table[key] = value.strip()
    return table


@DATASETS.register_module()
class NABirds(BaseDataset):
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
    ``image_class_labels.txt`` from 0, in increasing order. The names are
    known once the lists are read, so ``CLASSES`` is None after
    ``lazy_init=True``.

    Args:
        data_root (str): The unpacked folder ``nabirds``.
        split (str): 'train' or 'test'. Defaults to 'train'.
        **kwargs: Arguments of :class:`mmpretrain.datasets.BaseDataset`:
            ``pipeline``, ``test_mode``, ``indices``, ``lazy_init``, ...

    Raises:
        ValueError: If ``split`` is unknown, or the lists do not fit together.
        FileNotFoundError: If the folder or one of its parts is missing.

    Example:
        >>> from csd_mmpretrain.datasets import NABirds
        >>> NABirds('data/nabirds', split='test')
        Dataset NABirds
            Number of samples:  24633
            Number of categories:       555
            Root of dataset:    data/nabirds
            Split:      test
    """

    def __init__(self, data_root: str, split: str = 'train', **kwargs):
        if split not in ('train', 'test'):
            raise ValueError(f'NABirds: split={split!r}, expected train or '
                             'test; the release has no validation list.')
        self.split = split
        super().__init__(
            ann_file='images.txt',
            data_root=os.path.expanduser(data_root),
            data_prefix='images',
            **kwargs)

    def load_data_list(self) -> List[dict]:
        """Read the lists.

        Returns:
            list[dict]: ``img_path`` (str) and ``gt_label`` (int, from 0).
        """
        paths = [os.path.join(self.data_root, name) for name in LISTS]
        check_folder('NABirds', self.data_root, [self.img_prefix] + paths,
                     f'images/, {", ".join(LISTS)}', RELEASE_PAGE)
        files, labels, training, names = map(read_table, paths)
        if not files.keys() == labels.keys() == training.keys():
            raise ValueError(
                f'NABirds: {LISTS[0]}, {LISTS[1]} and {LISTS[2]} in '
                f"'{self.data_root}' do not list the same images. Unpack "
                f'the release again: {RELEASE_PAGE}')
        leaves = sorted(set(labels.values()), key=int)
        nameless = [leaf for leaf in leaves if leaf not in names]
        if len(leaves) != NUM_CLASSES or nameless:
            raise ValueError(
                f'{paths[1]}: found {len(leaves)} classes, '
                f'{len(nameless)} of them without a name in {LISTS[3]}; '
                f'expected {NUM_CLASSES} with names. Unpack the release '
                f'again: {RELEASE_PAGE}')
        self._metainfo.setdefault('classes',
                                  tuple(names[leaf] for leaf in leaves))
        index = {leaf: i for i, leaf in enumerate(leaves)}
        wanted = '1' if self.split == 'train' else '0'
        return [
            dict(img_path=os.path.join(self.img_prefix, file),
                 gt_label=index[labels[image]])
            for image, file in files.items() if training[image] == wanted
        ]

    def extra_repr(self) -> List[str]:
        """Lines of ``repr`` beyond those of every dataset."""
        return [f'Root of dataset: \t{self.data_root}',
                f'Split: \t{self.split}']
