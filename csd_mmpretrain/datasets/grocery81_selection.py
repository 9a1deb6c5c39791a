"""Grocery81, selected from the Grocery Store dataset."""
import csv
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, Sequence

from .annotation_list import read_text

RELEASE_PAGE = 'https://github.com/marcusklasson/GroceryStoreDataset'
_COUNTS = dict(train=8, test=10)


def make_grocery81(source: Path, target: Path) -> Dict[str, int]:
    """Copy the photos of Grocery81 out of a clone, and write its lists.

    Of each class, 8 photos of the release's ``train`` and 10 of its ``test``
    folder are taken, at even distances in the order of their names.

    Args:
        source (Path): A clone of the Grocery Store dataset.
        target (Path): The folder to make, such as ``data/grocery81``.

    Returns:
        dict[str, int]: Photos of each split.

    Raises:
        FileNotFoundError: If ``source`` is no such clone.
        FileExistsError: If ``target`` is there already.
        ValueError: If a class has too few photos.

    Source: choice; the photos are of Klasson, Zhang and Kjellström, "A
    Hierarchical Grocery Store Image Dataset with Visual and Semantic Labels",
    WACV 2019.
    """
    if target.exists():
        raise FileExistsError(f'{target} is there already. Remove it, or name '
                              'another folder.')
    dataset = source / 'dataset'
    table = dataset / 'classes.csv'
    if not table.is_file():
        raise FileNotFoundError(
            f'{source} is no clone of the Grocery Store dataset: it has no '
            f'dataset/classes.csv. Clone {RELEASE_PAGE}.')
    clone = f'Clone {RELEASE_PAGE} again.'
    rows = list(csv.reader(read_text(table, clone).splitlines()))[1:]
    for number, row in enumerate(rows, start=2):
        if len(row) < 2 or not row[1].isdecimal():
            raise ValueError(f'{table}, line {number}: found {row}, expected '
                             f'the name and the number of a class. {clone}')
    labels = {row[0]: int(row[1]) for row in rows}
    classes = sorted(labels, key=labels.get)
    selected = {
        split: _select(dataset, split, classes, count)
        for split, count in _COUNTS.items()
    }
    lists = {
        split: [f'{photo.as_posix()} {labels[photo.parent.name]}'
                for photo in photos] for split, photos in selected.items()
    }
    meta = target / 'meta'
    meta.mkdir(parents=True)
    for name, lines in dict(lists, classes=classes).items():
        meta.joinpath(f'{name}.txt').write_text(
            ''.join(f'{line}\n' for line in lines), encoding='utf-8')
    for photo in sum(selected.values(), []):
        copy = target / 'images' / photo
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(dataset / photo, copy)
    return {split: len(photos) for split, photos in selected.items()}


def _select(dataset: Path, split: str, classes: Sequence[str],
            count: int) -> List[Path]:
    photos = defaultdict(list)
    for photo in sorted(dataset.joinpath(split).rglob('*.jpg')):
        photos[photo.parent.name].append(photo.relative_to(dataset))
    selected = []
    for name in classes:
        found = photos[name]
        if len(found) < count:
            raise ValueError(
                f'{dataset / split}: the class {name} has {len(found)} '
                f'photos, and {count} are needed. Is the clone of '
                f'{RELEASE_PAGE} complete?')
        selected += _evenly(found, count)
    return selected


def _evenly(items: Sequence, count: int) -> List:
    return [items[i * len(items) // count] for i in range(count)]
