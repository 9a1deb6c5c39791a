"""Cores and GPUs that this process may use."""
import os

import torch


def usable_cores() -> int:
    """Count the cores that Slurm, ``taskset`` or the machine allow.

    Returns:
        int: At least 1.
    """
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def usable_gpus() -> str:
    """Name the GPUs that this process may use.

    Returns:
        str: As in ``CUDA_VISIBLE_DEVICES``, such as ``'0,1'``; empty without
        a GPU.
    """
    count = torch.cuda.device_count()
    every = ','.join(map(str, range(count)))
    return os.environ.get('CUDA_VISIBLE_DEVICES', every) if count else ''
