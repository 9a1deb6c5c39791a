"""Photos with their classes and groups, from folders or a table."""
import csv
import io
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from torch.utils.data import Dataset

from csd_mmpretrain.utils.wording import first_names

from .annotation_list import read_text
from .image_files import EXTENSIONS
from .same_classes import check_unicode
from .samples import list_infos
from .shared_images import copied_images

SHOWN = 3
COLUMNS = ('path', 'label', 'group')
BY_FOLDER = 'folder'


class Photo(NamedTuple):
    """A photo below a folder, the name of its class, and its group.

    Photos of one group (a plant, a plot, a date) are alike beyond their
    class, so that they may not be divided between training and test.
    """

    path: str
    label: str
    group: str


def read_photo_folder(root: str, group: Optional[str] = None) -> List[Photo]:
    r"""List the photos of a folder that has a folder for each class.

    Args:
        root (str): The folder.
        group (str, optional): ``'folder'``: photos of one subfolder of a
            class, and below it, are a group. Otherwise a regular expression
            that is searched in the path below ``root``; what its parentheses
            capture names the group. Defaults to None: each photo is a group
            of its own.

    Returns:
        list[Photo]: In the order of their paths, with forward slashes.

    Raises:
        FileNotFoundError: If there is no such folder, or no photo in it.
        ValueError: If the expression is none, or does not match a photo; if
            two classes differ in their form of Unicode alone.

    Example:
        >>> read_photo_folder('photos', r'(plant\d+)')[0]
        Photo(path='maple/plant1_a.jpg', label='maple', group='plant1')
    """
    top = Path(root)
    if not top.is_dir():
        raise FileNotFoundError(
            f'There is no folder {root!r}. Give the folder that has a folder '
            'of photos for each class, or a .csv file.')
    paths = sorted(
        Path(folder, name).relative_to(top).as_posix()
        for folder, _, names in os.walk(top, followlinks=True)
        for name in names if Path(name).suffix.lower() in EXTENSIONS)
    paths = [path for path in paths if not re.search(r'(^|/)\.', path)]
    paths = [path for path in paths if '/' in path]
    if not paths:
        loose = loose_photos(root)
        raise FileNotFoundError(
            f'{root}: no folder in it has a photo'
            + (f', and {len(loose)} lie beside the folders' if loose else '')
            + f'. Files ending in {", ".join(sorted(EXTENSIONS))} are looked '
            'for, in a folder for each class.')
    groups = _groups_of(paths, group)
    photos = [Photo(path, path.split('/')[0], name)
              for path, name in zip(paths, groups)]
    check_unicode({photo.label for photo in photos})
    return photos


def loose_photos(root: str) -> List[str]:
    """List the photos beside the folders of classes, which have no class."""
    return sorted(path.name for path in Path(root).iterdir()
                  if path.suffix.lower() in EXTENSIONS
                  and path.name[0] != '.')


def empty_folders(root: str, photos: Sequence[Photo]) -> List[str]:
    """List the folders of classes in which there is no photo."""
    return sorted({path.name for path in Path(root).iterdir()
                   if path.is_dir() and path.name[0] != '.'}
                  - {photo.label for photo in photos})


def _groups_of(paths: Sequence[str], group: Optional[str]) -> List[str]:
    if group is None:
        return list(paths)
    if group == BY_FOLDER:
        # The first subfolder, as a plant's may have folders of its own.
        return ['/'.join(path.split('/')[:2]) for path in paths]
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise ValueError(f'--group {group!r} is no regular expression '
                         f'({error}). Mend it, or give `folder`.') from None
    if not pattern.groups:
        raise ValueError(
            f'--group {group!r} has no parentheses, so it names no group. Put '
            r'them around what names one, as in (plant\d+).')
    found = [pattern.search(path) for path in paths]
    lost = [path for path, match in zip(paths, found) if match is None]
    if lost:
        raise ValueError(
            f'--group {group!r} matches no part of {len(lost)} of '
            f'{len(paths)} paths, such as {first_names(lost, SHOWN)}. Every '
            'photo needs a group: change the expression, or give a .csv file '
            'with a column `group`.')
    return [' '.join(filter(None, match.groups())) for match in found]


def read_photo_table(path: str) -> List[Photo]:
    """Read a CSV file with the columns path, label and, if wanted, group.

    Args:
        path (str): The file, with a header; paths are relative to its folder,
            with slashes of either kind. Without a column ``group`` each photo
            is a group of its own.

    Returns:
        list[Photo]: In the order of the file, each photo once.

    Raises:
        FileNotFoundError: If the file or a photo is missing.
        ValueError: If a column is missing, a field empty, nothing listed, or
            a photo has two classes or groups.
    """
    rows = read_rows(path, COLUMNS[:2])
    grouped = 'group' in rows[0][1]
    photos: Dict[str, Tuple[Photo, int]] = {}
    for number, row in rows:
        photo = Photo(*((row.get(name) or '').strip() for name in COLUMNS))
        photo = photo._replace(path=photo.path.replace('\\', '/'))
        if not grouped:
            photo = photo._replace(group=photo.path)
        if not all(photo):
            field = next(n for n, value in photo._asdict().items()
                         if not value)
            raise ValueError(f'{path}, line {number}: `{field}` is empty. '
                             'Fill it in, or remove the line.')
        other, place = photos.setdefault(photo.path, (photo, number))
        if other != photo:
            field = next(n for n in COLUMNS
                         if getattr(other, n) != getattr(photo, n))
            raise ValueError(
                f'{path}, line {number}: {photo.path} has the {field} '
                f'{getattr(photo, field)!r}, but line {place} says '
                f'{getattr(other, field)!r}. A photo has one class and one '
                'group: remove one of the lines.')
    found = [photo for photo, _ in photos.values()]
    top = os.path.dirname(path)
    missing = [photo.path for photo in found
               if not os.path.isfile(os.path.join(top, photo.path))]
    if missing:
        raise FileNotFoundError(
            f'{path}: {len(missing)} of {len(found)} photos are not there, '
            f'such as {first_names(missing, SHOWN)}. Paths are relative to '
            f'the folder of the file, {top or "."}. Mend them, or remove '
            'the lines.')
    check_unicode({photo.label for photo in found})
    return found


def read_rows(path: str, needed: Sequence[str]) -> List[Tuple[int, dict]]:
    """Read the rows of a CSV file about photos.

    Args:
        path (str): The file, with a header; its columns are separated by
            commas, semicolons or tabs. Case and blanks of their names do not
            count.
        needed (Sequence[str]): Columns that it must have, in lower case.

    Returns:
        list[tuple[int, dict]]: Line number and cells of each row.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no table, a column is missing, or there is no
            row.
    """
    text = read_text(path, 'Save it as a CSV file in UTF-8 with the columns '
                     f'{", ".join(needed)}.')
    first = text.partition('\n')[0]
    reader = csv.DictReader(
        io.StringIO(text), delimiter=max(',;\t', key=first.count),
        skipinitialspace=True)
    names = reader.fieldnames = [
        name.strip().lower() for name in reader.fieldnames or []]
    lost = [name for name in needed if name not in names]
    if lost:
        raise ValueError(
            f'{path}: there is no column {", ".join(lost)}; the first line '
            f'has {", ".join(names) or "nothing"}. Name the columns there: '
            f'{", ".join(needed)}.')
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(f'{path}, line {reader.line_num + 1}: {error}. Mend '
                         'the line; a quote may be open.') from None
    if not rows:
        raise ValueError(f'{path} lists no photo. Add a line for each.')
    return rows


def read_groups(path: str, dataset: Dataset) -> List[str]:
    """Read the group of each image of a dataset from a table.

    Args:
        path (str): A CSV file with the columns path and group; paths are
            relative to the dataset's folder of images.
        dataset (Dataset): Its images are files.

    Returns:
        list[str]: In the order of the dataset.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column or an image of the dataset is missing, or an
            image is listed with two groups.
    """
    groups: Dict[str, str] = {}
    for number, row in read_rows(path, ('path', 'group')):
        other = groups.setdefault(row['path'], row['group'])
        if other != row['group']:
            raise ValueError(
                f"{path}, line {number}: {row['path']} has the group "
                f"{row['group']!r}, but an earlier line says {other!r}. "
                'Remove one of the lines.')
    top = getattr(dataset, 'img_prefix', '')
    names = [Path(os.path.relpath(info['img_path'], top)).as_posix()
             for info in list_infos(dataset)]
    lost = [name for name in names if not groups.get(name)]
    if lost:
        raise ValueError(
            f'{path}: {len(lost)} of the {len(names)} images of the training '
            f'data have no group there, such as {first_names(lost, SHOWN)}. '
            f'Paths are relative to {top or "."}. Add them.')
    return [groups[name] for name in names]


def join_copies(root: str, photos: Sequence[Photo]
                ) -> Tuple[List[Photo], List[List[Photo]]]:
    """Join the groups that share a photo, which would be on two sides.

    Args:
        root (str): The folder of the photos.
        photos (Sequence[Photo]): Each path once.

    Returns:
        tuple[list[Photo], list[list[Photo]]]: The photos with joined groups,
        in the same order; and those that are copies of each other, but of
        different groups or classes.
    """
    by_path = {os.path.join(root, photo.path): photo for photo in photos}
    shared = [[by_path[path] for path in paths]
              for paths in copied_images(by_path)]
    shared = [copies for copies in shared
              if len({photo[1:] for photo in copies}) > 1]
    first = {photo.group: photo.group for photo in photos}

    def find(group: str) -> str:
        while first[group] != group:
            first[group] = group = first[first[group]]
        return group

    for copies in shared:
        for photo in copies[1:]:
            first[find(photo.group)] = find(copies[0].group)
    return [photo._replace(group=find(photo.group)) for photo in photos
            ], shared


def mixed_groups(photos: Sequence[Photo]) -> List[str]:
    """List the groups that have photos of more than one class."""
    labels = defaultdict(set)
    for photo in photos:
        labels[photo.group].add(photo.label)
    return [group for group, found in labels.items() if len(found) > 1]
