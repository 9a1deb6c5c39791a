"""Which cores and GPUs this process may use."""
import os

import torch


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


def usable_gpus() -> str:
    """Name the GPUs that this process may use.

    Returns:
        str: As ``CUDA_VISIBLE_DEVICES`` does, for instance ``'0,1'``, and
        what it says where it is set; empty without a GPU.
    """
    count = torch.cuda.device_count()
    every = ','.join(map(str, range(count)))
    return os.environ.get('CUDA_VISIBLE_DEVICES', every) if count else ''
