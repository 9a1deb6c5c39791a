"""The Ultra-FGVC datasets: cotton and soybean cultivars by their leaves."""
import os
import re
from pathlib import Path
from typing import Dict, List, Tuple, Union

from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from .release_folder import check_folder, find_folder

RELEASE_PAGE = 'https://github.com/XiaohanYu-GU/Ultra-FGVC'
SPLITS = ('train', 'val', 'test')
LAYOUT = 'images/*.png, anno/train.txt and anno/test.txt'


def class_names(num_classes: int) -> Tuple[str, ...]:
    """Names of classes that only have numbers: '1', '2', ...

    Args:
        num_classes (int): Number of classes.

    Returns:
        tuple[str]: The labels of the release, as text.
    """
    return tuple(str(label) for label in range(1, num_classes + 1))


def read_annotations(path: Union[str, Path],
                     num_classes: int) -> List[Tuple[str, int]]:
    """Read an annotation list of the Ultra-FGVC format.

    A line is ``<file name><space><label>``. The file name may contain spaces,
    labels count from 1, and empty lines are skipped.

    Args:
        path (str | Path): The list, such as ``COTTON/anno/train.txt``.
        num_classes (int): Number of classes; not all of them need occur.

    Returns:
        list[tuple[str, int]]: File name, relative to ``images/``, and label
        counted from **0**, in the order of the list.

    Raises:
        ValueError: If a line does not parse, a label is outside
            1..``num_classes``, a file is listed twice, or nothing is listed.

    Example:
        >>> read_annotations('data/COTTON/anno/train.txt', 80)[0]
        ('1_5_train.png', 0)
    """
    try:
        text = Path(path).read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: not a text file ({error}). Unpack the '
                         f'release again: {RELEASE_PAGE}') from None
    rows = []
    seen: Dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, _, label = line.strip().replace('\t', ' ').rpartition(' ')
        name = name.strip()
        if not name or not re.fullmatch(r'-?\d+', label):
            raise ValueError(
                f'{path}, line {number}: found {line!r}, expected '
                "'<file name><space><label>' with a whole number as the "
                'label. Mend the line, or unpack the list again.')
        if not 1 <= int(label) <= num_classes:
            raise ValueError(
                f'{path}, line {number}: label {label} of {name!r} is '
                f'outside 1..{num_classes}; labels count from 1. Mend the '
                'line, or choose the dataset class this list belongs to.')
        if name in seen:
            raise ValueError(
                f'{path}, line {number}: {name!r} is listed already in line '
                f'{seen[name]}, and a file belongs in a list once. Remove '
                'one of the two lines.')
        seen[name] = number
        rows.append((name, int(label) - 1))
    if not rows:
        raise ValueError(f'{path}: the list is empty, expected lines of '
                         "'<file name><space><label>'. Unpack the release "
                         f'again: {RELEASE_PAGE}')
    return rows


class UltraFGVCDataset(BaseDataset):
    """Base of the datasets that keep the Ultra-FGVC release's format.

    The folder::

        data_root
        ├── anno
        │   ├── train.txt      lines of '<file name><space><label>'
        │   ├── test.txt
        │   └── val.txt        (optional)
        └── images
            ├── 1_1_train.png
            └── ...

    Labels count from 1 in the lists and from 0 in ``gt_label``. A subclass
    gives the class names in ``METAINFO`` and the names of its folder in
    ``FOLDERS``.

    Args:
        data_root (str): The dataset's own folder. Where it does not exist,
            a folder beside it that bears another of the release's names for
            this dataset (``FOLDERS``, in any case) is taken.
        split (str): 'train', 'val' or 'test'. Defaults to 'train'.
        **kwargs: Arguments of :class:`mmpretrain.datasets.BaseDataset`:
            ``pipeline``, ``test_mode``, ``indices``, ``lazy_init``, ...

    Raises:
        ValueError: If ``split`` is unknown, or the list is in disorder.
        FileNotFoundError: If the folder, its ``images/`` or the split's list
            is missing. Raised when the list is read, so that
            ``lazy_init=True`` needs no files.
    """

    FOLDERS: Tuple[str, ...] = ()

    def __init__(self, data_root: str, split: str = 'train', **kwargs):
        if split not in SPLITS:
            raise ValueError(f'{type(self).__name__}: split={split!r}, '
                             f'expected one of {", ".join(SPLITS)}.')
        self.split = split
        super().__init__(
            ann_file=os.path.join('anno', f'{split}.txt'),
            data_root=str(find_folder(data_root, self.FOLDERS)),
            data_prefix='images',
            **kwargs)

    def load_data_list(self) -> List[dict]:
        """Read the split's list.

        Returns:
            list[dict]: ``img_path`` (str) and ``gt_label`` (int, from 0).
        """
        self._check_folder()
        rows = read_annotations(self.ann_file, len(self.CLASSES))
        return [
            dict(img_path=os.path.join(self.img_prefix, name), gt_label=label)
            for name, label in rows
        ]

    def extra_repr(self) -> List[str]:
        """Lines of ``repr`` beyond those of every dataset."""
        return [f'Root of dataset: \t{self.data_root}',
                f'Split: \t{self.split}']

    def _check_folder(self) -> None:
        """Tell what is missing of the folder, and how to mend it."""
        images, lists = Path(self.img_prefix), Path(self.ann_file).parent
        parts = [images, lists]
        if self.split != 'val':
            parts.append(self.ann_file)
        check_folder(
            type(self).__name__, self.data_root, parts, LAYOUT, RELEASE_PAGE)
        if not os.path.isfile(self.ann_file):
            raise FileNotFoundError(
                f"{type(self).__name__}: no list '{self.ann_file}'. The "
                "release has no validation list; use split='test', or write "
                'a list of your own.')


@DATASETS.register_module()
class Cotton80(UltraFGVCDataset):
    """Cotton80: 80 cotton cultivars, 240 training and 240 test images.

    The lists of the Ultra-FGVC release, folder ``COTTON``; see
    :class:`UltraFGVCDataset` for the arguments.

    Example:
        >>> from csd_mmpretrain.datasets import Cotton80
        >>> Cotton80('data/COTTON', split='train')
        Dataset Cotton80
            Number of samples:  240
            Number of categories:       80
            Root of dataset:    data/COTTON
            Split:      train
    """

    METAINFO = dict(classes=class_names(80))
    FOLDERS = ('COTTON', )


@DATASETS.register_module()
class SoyLocal(UltraFGVCDataset):
    """SoyLocal: 200 soybean cultivars, 600 training and 600 test images.

    The lists of the Ultra-FGVC release, folder ``soybean200``; see
    :class:`UltraFGVCDataset` for the arguments.

    Example:
        >>> SoyLocal('data/soybean200', split='test')
    """

    METAINFO = dict(classes=class_names(200))
    FOLDERS = ('soybean200', )


@DATASETS.register_module()
class SoyGlobal(UltraFGVCDataset):
    """SoyGlobal: 1938 soybean cultivars, 5814 training and 5814 test images.

    The lists of the Ultra-FGVC release, folder ``soybean2000``; see
    :class:`UltraFGVCDataset` for the arguments.

    Example:
        >>> SoyGlobal('data/soybean2000', split='test')
    """

    METAINFO = dict(classes=class_names(1938))
    FOLDERS = ('soybean2000', )


@DATASETS.register_module()
class SoyGene(UltraFGVCDataset):
    """SoyGene: 1110 soybean cultivars, 12763 training and 11143 test images.

    The lists of the Ultra-FGVC release, folder ``soybean_gene`` (copies of
    the release also have ``soybeangene``); see :class:`UltraFGVCDataset` for
    the arguments.

    Example:
        >>> SoyGene('data/soybean_gene', split='test')
    """

    METAINFO = dict(classes=class_names(1110))
    FOLDERS = ('soybean_gene', 'soybeangene')


@DATASETS.register_module()
class SoyAgeing(UltraFGVCDataset):
    """SoyAgeing: 198 soybean cultivars at five stages of growth.

    Every stage is a dataset of its own, of 990 training and 990 test images:
    the folders ``R1``, ``R3``, ``R4``, ``R5`` and ``R6`` of the Ultra-FGVC
    release (it has no R2). The field reports the mean of five models.

    Args:
        data_root (str): The folder of the stage (``data/R1``), or the parent
            folder of all stages (``data``).
        stage (str): 'R1', 'R3', 'R4', 'R5' or 'R6'. Defaults to 'R1'.
        split (str): 'train', 'val' or 'test'. Defaults to 'train'.
        **kwargs: See :class:`UltraFGVCDataset`.

    Raises:
        ValueError: If the stage is unknown, or ``data_root`` is the folder
            of another stage.

    Example:
        >>> SoyAgeing('data/R3', stage='R3', split='test')
        >>> SoyAgeing('data', stage='R3', split='test')    # the same
    """

    METAINFO = dict(classes=class_names(198))
    STAGES = ('R1', 'R3', 'R4', 'R5', 'R6')

    def __init__(self,
                 data_root: str,
                 stage: str = 'R1',
                 split: str = 'train',
                 **kwargs):
        if stage not in self.STAGES:
            raise ValueError(f'SoyAgeing: stage={stage!r}, expected one of '
                             f'{", ".join(self.STAGES)}.')
        self.stage = stage
        self.FOLDERS = (stage, )
        root = Path(data_root)
        named = root.name.upper()
        if named in self.STAGES and named != stage:
            raise ValueError(
                f'SoyAgeing: data_root={str(data_root)!r} is the folder of '
                f'{named}, but stage={stage!r}. Give the same stage in both, '
                'or the parent folder as data_root.')
        if named != stage and not (root.expanduser() / 'anno').is_dir():
            root = root / stage
        super().__init__(str(root), split=split, **kwargs)

    def extra_repr(self) -> List[str]:
        """Lines of ``repr`` beyond those of every dataset."""
        return super().extra_repr() + [f'Stage: \t{self.stage}']
