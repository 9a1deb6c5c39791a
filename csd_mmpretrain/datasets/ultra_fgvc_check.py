"""Checking unpacked Ultra-FGVC folders against what the release holds."""
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from csd_mmpretrain.utils.wording import first_names

from .image_files import find_broken_images
from .release_folder import find_folder
from .ultra_fgvc import (
    Cotton80,
    SoyAgeing,
    SoyGene,
    SoyGlobal,
    SoyLocal,
    read_annotations,
)

SHOWN = 5


class ReleasedSet(NamedTuple):
    """What the release holds of one dataset.

    Args:
        dataset (str): Name of the dataset's class.
        folders (tuple[str]): Names of its folder.
        classes (int): Number of classes.
        images (dict[str, int]): Number of images by split.
        per_class (dict[str, tuple[int, int]]): Fewest and most images of a
            class, by split.
    """

    dataset: str
    folders: Tuple[str, ...]
    classes: int
    images: Dict[str, int]
    per_class: Dict[str, Tuple[int, int]]


def _released(dataset: type, folders: Tuple[str, ...], train: int, test: int,
              train_range: Tuple[int, int],
              test_range: Tuple[int, int]) -> ReleasedSet:
    return ReleasedSet(dataset.__name__, folders,
                       len(dataset.METAINFO['classes']),
                       dict(train=train, test=test),
                       dict(train=train_range, test=test_range))


RELEASE = (
    _released(Cotton80, Cotton80.FOLDERS, 240, 240, (3, 3), (3, 3)),
    _released(SoyLocal, SoyLocal.FOLDERS, 600, 600, (3, 3), (3, 3)),
    _released(SoyGlobal, SoyGlobal.FOLDERS, 5814, 5814, (3, 3), (3, 3)),
    _released(SoyGene, SoyGene.FOLDERS, 12763, 11143, (3, 15), (3, 13)),
    *(_released(SoyAgeing, (stage, ), 990, 990, (5, 5), (5, 5))
      for stage in SoyAgeing.STAGES),
)
DATASETS = tuple(dict.fromkeys(released.dataset for released in RELEASE))


@dataclass
class SetReport:
    """What was found of one dataset.

    Args:
        released (ReleasedSet): What was expected.
        folder (Path | None): Where it is; None if it is absent.
        images (dict[str, int]): Listed images by split.
        per_class (dict[str, tuple[int, int]]): Fewest and most images of a
            class, by split.
        classes (int): Classes that occur in the lists.
        missing (list[str]): Listed files that are not there.
        extra (list[str]): Files in no list; they do no harm.
        unreadable (list[str]): Files that do not decode, with the fault.
        problems (list[str]): All that makes the dataset unfit for use.
    """

    released: ReleasedSet
    folder: Optional[Path] = None
    images: Dict[str, int] = field(default_factory=dict)
    per_class: Dict[str, Tuple[int, int]] = field(default_factory=dict)
    classes: int = 0
    missing: List[str] = field(default_factory=list)
    extra: List[str] = field(default_factory=list)
    unreadable: List[str] = field(default_factory=list)
    problems: List[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """'absent', 'complete' or 'wrong'."""
        if self.folder is None:
            return 'absent'
        return 'wrong' if self.problems else 'complete'


def check_set(released: ReleasedSet,
              data_root: Union[str, Path],
              workers: int = 1) -> SetReport:
    """Check one dataset: lists, counts, files, and that all images decode.

    Args:
        released (ReleasedSet): What is expected.
        data_root (str | Path): Parent folder of the datasets' folders.
        workers (int): Threads that decode. Defaults to 1.

    Returns:
        SetReport: What was found.
    """
    report = SetReport(released)
    folder = find_folder(
        Path(data_root) / released.folders[0], released.folders)
    if not folder.is_dir():
        return report
    report.folder = folder
    listed = _check_lists(report)
    if (folder / 'images').is_dir():
        present = _files_in(folder / 'images')
        report.missing = [name for name in listed if name not in present]
        report.extra = sorted(present.difference(listed))
        names = [name for name in listed if name in present]
        report.unreadable = _undecodable(folder / 'images', names, workers)
    else:
        report.missing = listed
    for what, names in (('missing', report.missing),
                        ('unreadable', report.unreadable)):
        if names:
            report.problems.append(f'{len(names)} {what} images: '
                                   f'{first_names(names, SHOWN)}; unpack '
                                   'them again')
    return report


def check_release(data_root: Union[str, Path],
                  datasets: Optional[Sequence[str]] = None,
                  workers: int = 1) -> List[SetReport]:
    """Check all datasets of the release, or those that are asked for.

    Args:
        data_root (str | Path): Parent folder of the datasets' folders.
        datasets (Sequence[str], optional): Names out of ``DATASETS``.
            Defaults to None, all of them.
        workers (int): Threads that decode. Defaults to 1.

    Returns:
        list[SetReport]: One for each folder of the release.

    Raises:
        FileNotFoundError: If ``data_root`` is no folder.
    """
    root = Path(data_root).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f"No folder '{root}', expected the parent folder of the datasets "
            f'({", ".join(r.folders[0] for r in RELEASE)}).')
    return [check_set(released, root, workers) for released in RELEASE
            if datasets is None or released.dataset in datasets]


def is_right(reports: Sequence[SetReport], all_wanted: bool = False) -> bool:
    """Whether all that is there is right, and something is there.

    Args:
        reports (Sequence[SetReport]): Of :func:`check_release`.
        all_wanted (bool): Whether an absent dataset is wrong, too. Defaults
            to False.

    Returns:
        bool: The verdict.
    """
    states = {report.state for report in reports}
    return 'complete' in states and 'wrong' not in states and not (
        all_wanted and 'absent' in states)


def format_reports(reports: Sequence[SetReport]) -> str:
    """One table of all reports, and below it what is wrong.

    Args:
        reports (Sequence[SetReport]): Of :func:`check_release`.

    Returns:
        str: Text of several lines.
    """
    rows = [('dataset', 'folder', 'state', 'classes', 'train', 'test', 'val',
             'per class', 'missing', 'extra', 'unreadable')]
    notes = []
    for report in reports:
        released = report.released
        if report.folder is None:
            rows.append((released.dataset, released.folders[0], 'absent') +
                        ('-', ) * 8)
            continue
        counts = [f'{report.images.get(split, 0)}/{number}'
                  for split, number in released.images.items()]
        rows.append(
            (released.dataset, report.folder.name, report.state,
             f'{report.classes}/{released.classes}', *counts,
             str(report.images.get('val', '-')),
             _format_range(report.per_class.get('train', (0, 0))),
             *(str(len(names)) for names in (report.missing, report.extra,
                                             report.unreadable))))
        notes += [f'{report.folder}: {text}' for text in report.problems]
        if report.extra:
            notes.append(f'{report.folder}: {len(report.extra)} files in no '
                         'list, which do no harm: '
                         f'{first_names(report.extra, SHOWN)}')
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths))
             .rstrip() for row in rows]
    return '\n'.join(lines + [''] * bool(notes) + notes)


def _check_lists(report: SetReport) -> List[str]:
    """Read the lists, compare their counts, and return all file names."""
    released, folder = report.released, report.folder
    split_of: Dict[str, str] = {}
    labels = set()
    for split in ('train', 'test', 'val'):
        path = folder / 'anno' / f'{split}.txt'
        if not path.is_file():
            if split != 'val':
                report.problems.append(
                    f"no list 'anno/{split}.txt': unpack it")
            continue
        try:
            rows = read_annotations(path, released.classes)
        except ValueError as error:
            report.problems.append(str(error))
            continue
        counts = Counter(label for _, label in rows)
        labels.update(counts)
        report.images[split] = len(rows)
        report.per_class[split] = (min(counts.values()), max(counts.values()))
        both = [name for name, _ in rows if name in split_of]
        if both and split != 'val':
            report.problems.append(
                f'{len(both)} files are in two lists: '
                f'{first_names(both, SHOWN)}; unpack the lists again')
        split_of.update((name, split) for name, _ in rows)
        if split == 'val':
            continue
        for what, found, expected in (
            ('images', len(rows), released.images[split]),
            ('classes', len(counts), released.classes),
            ('images per class', _format_range(report.per_class[split]),
             _format_range(released.per_class[split]))):
            if found != expected:
                report.problems.append(
                    f"'anno/{split}.txt' has {found} {what}, expected "
                    f'{expected}: unpack it again')
    report.classes = len(labels)
    return list(split_of)


def _files_in(folder: Path) -> set:
    """All files below a folder, relative to it; hidden ones left out."""
    return {
        os.path.relpath(os.path.join(parent, name), folder)
        for parent, _, names in os.walk(folder) for name in names
        if not name.startswith('.')
    }


def _undecodable(images: Path, names: List[str], workers: int) -> List[str]:
    """Decode all files; return the names and faults of those that fail."""
    broken = find_broken_images([str(images / name) for name in names], True,
                                workers, f'Decoding {images.parent.name}')
    return [f'{os.path.relpath(path, images)} ({fault})'
            for path, fault in broken]


def _format_range(bounds: Tuple[int, int]) -> str:
    return str(bounds[0]) if bounds[0] == bounds[1] else '{}-{}'.format(
        *bounds)
