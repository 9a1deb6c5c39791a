"""Images that two splits have in common."""
import filecmp
import os
from collections import defaultdict
from typing import Dict, Iterable, List

_PART = 4096


def shared_images(paths: Iterable[str], others: Iterable[str]) -> List[str]:
    """List the files whose content is that of one of the other files.

    Files of another size are not read, and others wholly only if their ends
    are equal.

    Args:
        paths (Iterable[str]): Local files; missing ones share nothing.
        others (Iterable[str]): The files to compare with.

    Returns:
        list[str]: Those of ``paths``, in order.

    Example:
        >>> shared_images(['test/a.png'], ['train/copy_of_a.png'])
        ['test/a.png']
    """
    paths = list(paths)
    sizes = set(map(_size, paths)) - {0}
    known: Dict[tuple, List[str]] = defaultdict(list)
    for other in others:
        if _size(other) in sizes:
            known[_key(other)].append(other)
    sizes = {size for size, *_ in known}
    return [
        path for path in paths if _size(path) in sizes and any(
            os.path.samefile(path, other)
            or filecmp.cmp(path, other, shallow=False)
            for other in known.get(_key(path), ()))
    ]


def copied_images(paths: Iterable[str]) -> List[List[str]]:
    """List the files that are copies of each other.

    Args:
        paths (Iterable[str]): Local files.

    Returns:
        list[list[str]]: Two or more files of one content each, in order.
    """
    alike: Dict[tuple, List[str]] = defaultdict(list)
    sizes: Dict[int, List[str]] = defaultdict(list)
    for path in paths:
        sizes[_size(path)].append(path)
    for size, same in sizes.items():
        for path in same if size and len(same) > 1 else ():
            alike[_key(path)].append(path)
    found = []
    for rest in alike.values():
        while len(rest) > 1:
            first = rest[0]
            copies = [path for path in rest if path == first
                      or filecmp.cmp(path, first, shallow=False)]
            rest = [path for path in rest if path not in copies]
            if len(copies) > 1:
                found.append(copies)
    return found


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.isfile(path) else 0


def _key(path: str) -> tuple:
    """Size, beginning and end of a file."""
    with open(path, 'rb') as file:
        first = file.read(_PART)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _PART))
        return size, hash(first), hash(file.read())
