"""How much memory there is to take."""
import os
from typing import Iterator, Optional

# Names of the files in a control group, of version 2 and 1: the limit, what
# is used, and the part of it that is files which can be dropped.
FILES = (('memory.max', 'memory.current', 'inactive_file'),
         ('memory.limit_in_bytes', 'memory.usage_in_bytes',
          'total_inactive_file'))


def free_memory(root: str = '/') -> int:
    """Tell how much memory this process could take.

    It is what the machine has available, or what the limits of the process's
    control groups (those of a container or of a batch system) leave, if that
    is less.

    Args:
        root (str): Where ``proc`` and ``sys`` are. Defaults to '/'.

    Returns:
        int: Bytes.

    Raises:
        OSError: On a system other than Linux.

    Source: the kernel's guides to ``/proc/meminfo`` and control groups.
    """
    free = _field(os.path.join(root, 'proc/meminfo'), 'MemAvailable:') * 1024
    for folder in _groups(root):
        for limit, used, droppable in FILES:
            limit = _number(os.path.join(folder, limit))
            used = _number(os.path.join(folder, used))
            if limit is not None and used is not None:
                used -= _field(os.path.join(folder, 'memory.stat'), droppable)
                free = min(free, max(0, limit - used))
    return free


def _groups(root: str) -> Iterator[str]:
    """Folders of the groups of this process, and of those around them."""
    base = os.path.join(root, 'sys/fs/cgroup')
    try:
        with open(os.path.join(root, 'proc/self/cgroup')) as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = line.split(':', 2)
        if names and 'memory' not in names.split(','):
            continue
        top = os.path.join(base, 'memory') if names else base
        parts = [part for part in path.split('/') if part]
        for depth in range(len(parts) + 1):
            yield os.path.join(top, *parts[:depth])


def _number(path: str) -> Optional[int]:
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return None  # 'max' is no limit


def _field(path: str, name: str) -> int:
    with open(path) as file:
        for line in file:
            if line.split()[:1] == [name]:
                return int(line.split()[1])
    return 0
