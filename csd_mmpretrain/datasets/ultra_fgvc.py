"""The Ultra-FGVC datasets: cotton and soybean cultivars by their leaves."""
import os
import re
from pathlib import Path
from typing import Dict, List, Tuple, Union

from mmpretrain.registry import DATASETS

from .annotation_list import read_text
from .released_dataset import ReleasedDataset

_PAGE = 'https://github.com/XiaohanYu-GU/Ultra-FGVC'


def class_names(num_classes: int) -> Tuple[str, ...]:
    """Name classes that have numbers alone: '1', '2', ..."""
    return tuple(str(label) for label in range(1, num_classes + 1))


def read_annotations(path: Union[str, Path],
                     num_classes: int) -> List[Tuple[str, int]]:
    """Read a list with lines of ``<file name><space><label>``.

    File names may contain spaces, labels count from 1, and empty lines are
    skipped.

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
    text = read_text(path, f'Unpack the release again: {_PAGE}')
    rows: Dict[str, int] = {}
    lines: Dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, _, label = line.strip().replace('\t', ' ').rpartition(' ')
        name = name.strip()
        fault = None
        if not name or not re.fullmatch(r'-?\d+', label):
            fault = (f"found {line!r}, expected '<file name><space><label>' "
                     'with a whole number as the label. Mend the line, or '
                     'unpack the list again.')
        elif not 1 <= int(label) <= num_classes:
            fault = (f'label {label} of {name!r} is outside 1..{num_classes}; '
                     'labels count from 1. Mend the line, or choose the '
                     'dataset class this list belongs to.')
        elif name in rows:
            fault = (f'{name!r} is listed already in line {lines[name]}, and '
                     'a file belongs in a list once. Remove one of the two '
                     'lines.')
        if fault:
            raise ValueError(f'{path}, line {number}: {fault}')
        lines[name] = number
        rows[name] = int(label) - 1
    if not rows:
        raise ValueError(f'{path}: the list is empty, expected lines of '
                         "'<file name><space><label>'. Unpack the release "
                         f'again: {_PAGE}')
    return list(rows.items())


class UltraFGVCDataset(ReleasedDataset):
    """Base of the datasets in the format of the Ultra-FGVC release.

    The folder, named as in ``FOLDERS``::

        data_root
        ├── anno
        │   ├── train.txt      lines of '<file name><space><label>'
        │   ├── test.txt
        │   └── val.txt        (optional)
        └── images
            ├── 1_1_train.png
            └── ...

    Labels count from 1 in the lists and from 0 in ``gt_label``. A subclass
    gives the class names in ``METAINFO``.

    Args:
        data_root (str): The dataset's own folder.
        split (str): 'train', 'val' or 'test'. Defaults to 'train'.
        **kwargs: See :class:`ReleasedDataset`, for errors as well.

    Example:
        >>> len(Cotton80('data/COTTON', split='train'))
        240
    """

    PAGE = _PAGE
    LAYOUT = 'images/*.png, anno/train.txt and anno/test.txt'
    SPLITS = ('train', 'val', 'test')

    def __init__(self, data_root: str, split: str = 'train', **kwargs):
        super().__init__(
            data_root, split, ann_file=os.path.join('anno', f'{split}.txt'),
            data_prefix='images', **kwargs)

    def load_data_list(self) -> List[dict]:
        parts = [self.img_prefix, os.path.dirname(self.ann_file)]
        if self.split != 'val':
            parts.append(self.ann_file)
        self.check_folder(*parts)
        if not os.path.isfile(self.ann_file):
            raise FileNotFoundError(
                f"{type(self).__name__}: no list '{self.ann_file}'. The "
                "release has no validation list; use split='test', or write "
                'a list of your own.')
        return [
            dict(img_path=os.path.join(self.img_prefix, name), gt_label=label)
            for name, label in read_annotations(
                self.ann_file, len(self.CLASSES))
        ]


@DATASETS.register_module()
class Cotton80(UltraFGVCDataset):
    """Cotton80: 80 cotton cultivars, 240 training and 240 test images."""

    METAINFO = dict(classes=class_names(80))
    FOLDERS = ('COTTON', )


@DATASETS.register_module()
class SoyLocal(UltraFGVCDataset):
    """SoyLocal: 200 soybean cultivars, 600 training and 600 test images."""

    METAINFO = dict(classes=class_names(200))
    FOLDERS = ('soybean200', )


@DATASETS.register_module()
class SoyGlobal(UltraFGVCDataset):
    """SoyGlobal: 1938 soybean cultivars, 5814 training, 5814 test images."""

    METAINFO = dict(classes=class_names(1938))
    FOLDERS = ('soybean2000', )


@DATASETS.register_module()
class SoyGene(UltraFGVCDataset):
    """SoyGene: 1110 soybean cultivars, 12763 training, 11143 test images."""

    METAINFO = dict(classes=class_names(1110))
    FOLDERS = ('soybean_gene', 'soybeangene')


@DATASETS.register_module()
class SoyAgeing(UltraFGVCDataset):
    """SoyAgeing: 198 soybean cultivars at five stages of growth.

    Each stage is a dataset of its own, of 990 training and 990 test images:
    the folders ``R1``, ``R3``, ``R4``, ``R5`` and ``R6`` of the release (it
    has no R2). The field reports the mean of five models.

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
        >>> test_data = SoyAgeing('data', stage='R3', split='test')
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
        return super().extra_repr() + [f'Stage: \t{self.stage}']
