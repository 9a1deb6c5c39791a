"""Grocery81, selected from the Grocery Store dataset."""
import csv
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, Sequence, TypeVar

RELEASE_PAGE = 'https://github.com/marcusklasson/GroceryStoreDataset'
COUNTS = dict(train=8, test=10)
T = TypeVar('T')


def spread(items: Sequence[T], count: int) -> List[T]:
    """Take items at even distances, from the first one on.

    Args:
        items (Sequence): At least ``count``.
        count (int): How many.

    Returns:
        list: Items number ``floor(i * len(items) / count)``.

    Example:
        >>> spread(range(20), 8)
        [0, 2, 5, 7, 10, 12, 15, 17]
    """
    return [items[i * len(items) // count] for i in range(count)]


def make_grocery81(source: Path, target: Path) -> Dict[str, int]:
    """Copy the photos of Grocery81 out of a clone, and write its lists.

    Of each class, by name of the file, 8 photos of the release's ``train``
    and 10 of its ``test`` folder.

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
    with open(table, encoding='utf-8', newline='') as file:
        labels = {row[0]: int(row[1]) for row in list(csv.reader(file))[1:]}
    selected = {
        split: _select(dataset, split, labels, count)
        for split, count in COUNTS.items()
    }
    meta = target / 'meta'
    meta.mkdir(parents=True)
    meta.joinpath('classes.txt').write_text(
        _lines(sorted(labels, key=labels.get)), encoding='utf-8')
    for split, photos in selected.items():
        for photo in photos:
            copy = target / 'images' / photo
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(dataset / photo, copy)
        meta.joinpath(f'{split}.txt').write_text(
            _lines(f'{photo.as_posix()} {labels[photo.parent.name]}'
                   for photo in photos), encoding='utf-8')
    return {split: len(photos) for split, photos in selected.items()}


def _select(dataset: Path, split: str, labels: Dict[str, int],
            count: int) -> List[Path]:
    photos = defaultdict(list)
    for photo in sorted(dataset.joinpath(split).rglob('*.jpg')):
        photos[photo.parent.name].append(photo.relative_to(dataset))
    selected = []
    for name in sorted(labels, key=labels.get):
        if len(photos[name]) < count:
            raise ValueError(
                f'{dataset / split}: the class {name} has '
                f'{len(photos[name])} photos, and {count} are needed. Is the '
                f'clone of {RELEASE_PAGE} complete?')
        selected += spread(photos[name], count)
    return selected


def _lines(items: Sequence[str]) -> str:
    return ''.join(f'{item}\n' for item in items)
