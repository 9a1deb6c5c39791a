"""Checks of the lists that mmpretrain's readers of three releases read."""
import re
from pathlib import Path

from mmpretrain.datasets import CUB, FGVCAircraft, StanfordCars

from csd_mmpretrain.utils.type_name import type_name

from .annotation_list import plain_lines

_ID = '[1-9][0-9]*'
_VARIANTS = FGVCAircraft.METAINFO['classes']
# The files of text of each reader, and the lines that it can read.
_LINES = {
    CUB: {
        'images.txt': (rf'{_ID} \S+', '<image id> <path>'),
        'image_class_labels.txt': (
            rf'{_ID} {_ID}', '<image id> <class id from 1>'),
        'train_test_split.txt': (
            rf'{_ID} [01]', '<image id> <1 for training, else 0>'),
    },
    FGVCAircraft: {
        'data/images_variant_{split}.txt': (
            rf'\S+ ({"|".join(map(re.escape, _VARIANTS))})',
            '<image id> <name of a variant>'),
    },
    StanfordCars: {},
}


def check_stock_lists(settings: dict) -> None:
    """Check the lists of ``CUB``, ``FGVCAircraft`` or ``StanfordCars``.

    mmpretrain reads them unchecked: a list that was edited or cut short ends
    in an error of Python that names no file.

    Args:
        settings (dict): Settings of a dataset. Those of other classes, and
            of data that is not on the local disk, are not looked at.

    Raises:
        FileNotFoundError: If a list is missing.
        ValueError: If a list has a line that does not parse, or the lists do
            not fit each other.

    Example:
        >>> check_stock_lists(dict(type='CUB', data_root='data/CUB_200_2011'))
    """
    kind = type_name(settings.get('type'))
    # Those with boxes read the same lists.
    reader = next((stock for stock in _LINES if kind in (
        stock.__name__, f'{stock.__name__}Objects')), None)
    root = str(settings.get('data_root') or '')
    if reader is None or '://' in root:
        return
    split = settings.get('split', 'train')
    remedy = (f'Unpack the release of {reader.__name__} again, and leave its '
              'lists as they are.')
    for name, (pattern, wanted) in _LINES[reader].items():
        path = Path(root, name.format(split=split))
        for number, line in enumerate(plain_lines(str(path)), start=1):
            if not re.fullmatch(pattern, line.strip()):
                raise ValueError(
                    f'{path}, line {number}: found {line!r}, expected '
                    f"'{wanted}'. {remedy}")
    try:
        reader(root, split=split, pipeline=[])
    except Exception as error:
        raise ValueError(
            f'{reader.__name__} cannot read its lists in {root!r} (split='
            f'{split!r}): {type(error).__name__}: {error}. {remedy}'
        ) from error
