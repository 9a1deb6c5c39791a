"""How many cores this process may use."""
import os


def usable_cores() -> int:
    """Count the cores that this process may run on.

    A scheduler such as Slurm, or ``taskset``, gives a job a part of the
    machine's cores, which ``os.cpu_count`` does not know.

    Returns:
        int: At least 1.

    Example:
        >>> usable_cores() >= 1
        True
    """
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
