"""Checking unpacked Ultra-FGVC folders against what the release holds."""
from collections import Counter
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

from csd_mmpretrain.utils.wording import first_names

from .image_files import find_broken_images
from .released_dataset import find_folder
from .ultra_fgvc import (
    Cotton80,
    SoyAgeing,
    SoyGene,
    SoyGlobal,
    SoyLocal,
    read_annotations,
)

_SHOWN = 5
_COLUMNS = ('dataset', 'folder', 'state', 'classes', 'train', 'test', 'val',
            'per class', 'missing', 'extra', 'unreadable')
_Counts = Dict[str, Tuple[int, str]]
_Report = Tuple[Dict[str, str], List[str]]
# Datasets, names of their folders, images of each split and of a class.
RELEASE = (
    (Cotton80, Cotton80.FOLDERS, dict(train=(240, '3'), test=(240, '3'))),
    (SoyLocal, SoyLocal.FOLDERS, dict(train=(600, '3'), test=(600, '3'))),
    (SoyGlobal, SoyGlobal.FOLDERS, dict(train=(5814, '3'), test=(5814, '3'))),
    (SoyGene, SoyGene.FOLDERS,
     dict(train=(12763, '3-15'), test=(11143, '3-13'))),
    *((SoyAgeing, (stage, ), dict(train=(990, '5'), test=(990, '5')))
      for stage in SoyAgeing.STAGES))
DATASETS = tuple(dict.fromkeys(entry[0].__name__ for entry in RELEASE))


def check_release(data_root: Union[str, Path],
                  datasets: Optional[Sequence[str]] = None,
                  workers: int = 1) -> List[_Report]:
    """Check lists, counts and files, and that all images decode.

    Args:
        data_root (str | Path): Parent folder of the datasets' folders.
        datasets (Sequence[str], optional): Names out of ``DATASETS``.
            Defaults to None, all of them.
        workers (int): Threads that decode. Defaults to 1.

    Returns:
        list[tuple[dict[str, str], list[str]]]: For each folder of the
        release, the cells of its row by column (the 'state' is 'absent',
        'complete' or 'wrong'), and what is to be said below the table.

    Raises:
        FileNotFoundError: If ``data_root`` is no folder.
    """
    root = Path(data_root).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f"No folder '{root}', expected the parent folder of the datasets "
            f'({", ".join(folders[0] for _, folders, _ in RELEASE)}).')
    return [
        _check_set(dataset, folders, expected, root, workers)
        for dataset, folders, expected in RELEASE
        if datasets is None or dataset.__name__ in datasets
    ]


def is_right(reports: Sequence[_Report], all_wanted: bool = False) -> bool:
    """Whether a dataset is there and none is wrong.

    Args:
        reports (Sequence): Of :func:`check_release`.
        all_wanted (bool): Count an absent dataset as wrong. Defaults to
            False.
    """
    states = {cells['state'] for cells, _ in reports}
    allowed = {'complete'} if all_wanted else {'complete', 'absent'}
    return 'complete' in states and states <= allowed


def format_reports(reports: Sequence[_Report]) -> str:
    """Write one table of all reports, and below it their notes."""
    rows = [_COLUMNS, *(cells.values() for cells, _ in reports)]
    notes = [note for _, notes in reports for note in notes]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ['  '.join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return '\n'.join(lines + [''] * bool(notes) + notes)


def _check_set(dataset: type, folders: Sequence[str], expected: _Counts,
               root: Path, workers: int) -> _Report:
    cells = dict.fromkeys(_COLUMNS, '-')
    cells.update(dataset=dataset.__name__, folder=folders[0], state='absent')
    folder = find_folder(root / folders[0], folders)
    if not folder.is_dir():
        return cells, []
    num_classes = len(dataset.METAINFO['classes'])
    lists, notes = _read_lists(folder / 'anno', expected, num_classes)
    rows = sum(lists.values(), [])
    listed = dict.fromkeys(name for name, _ in rows)
    images = folder / 'images'
    present = {
        path.relative_to(images).as_posix(): str(path)
        for path in images.rglob('*')
        if not path.name.startswith('.') and not path.is_dir()
    }
    names = {present[name]: name for name in listed if name in present}
    broken = find_broken_images(names, True, workers,
                                f'Decoding {folder.name}')
    found = dict(
        missing=[name for name in listed if name not in present],
        extra=sorted(set(present).difference(listed)),
        unreadable=[f'{names[path]} ({fault})' for path, fault in broken])
    notes += [
        f'{len(found[what])} {what} images: '
        f'{first_names(found[what], _SHOWN)}; unpack them again'
        for what in ('missing', 'unreadable') if found[what]
    ]
    cells.update(
        folder=folder.name,
        state='wrong' if notes else 'complete',
        classes=f'{len({label for _, label in rows})}/{num_classes}',
        val=str(len(lists['val'])) if 'val' in lists else '-',
        **{'per class': _per_class(lists.get('train', ()))},
        **{split: f'{len(lists.get(split, ()))}/{number}'
           for split, (number, _) in expected.items()},
        **{what: str(len(files)) for what, files in found.items()})
    if found['extra']:
        notes.append(f'{len(found["extra"])} files in no list, which do no '
                     f'harm: {first_names(found["extra"], _SHOWN)}')
    return cells, [f'{folder}: {note}' for note in notes]


def _read_lists(folder: Path, expected: _Counts, num_classes: int
                ) -> Tuple[Dict[str, List[Tuple[str, int]]], List[str]]:
    """The rows of each list, and what is wrong with them."""
    lists, problems = {}, []
    for split in ('train', 'test', 'val'):
        path = folder / f'{split}.txt'
        if not path.is_file():
            if split != 'val':
                problems.append(f"no list 'anno/{split}.txt': unpack it")
            continue
        try:
            rows = read_annotations(path, num_classes)
        except ValueError as error:
            problems.append(str(error))
            continue
        others = {name for other in lists.values() for name, _ in other}
        lists[split] = rows
        if split == 'val':
            continue
        both = [name for name, _ in rows if name in others]
        if both:
            problems.append(f'{len(both)} files are in two lists: '
                            f'{first_names(both, _SHOWN)}; unpack the lists '
                            'again')
        images, per_class = expected[split]
        problems += [
            f"'anno/{split}.txt' has {found} {what}, expected {wanted}: "
            'unpack it again' for what, found, wanted in (
                ('images', len(rows), images),
                ('classes', len({label for _, label in rows}), num_classes),
                ('images per class', _per_class(rows), per_class))
            if found != wanted]
    return lists, problems


def _per_class(rows: Sequence[Tuple[str, int]]) -> str:
    """The images of a class, as '3' or '3-15'."""
    counts = Counter(label for _, label in rows).values() or [0]
    fewest, most = min(counts), max(counts)
    return str(most) if fewest == most else f'{fewest}-{most}'
