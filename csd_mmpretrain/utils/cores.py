"""Cores and GPUs that this process may use."""
import os
import re
from pathlib import Path

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


def lacks_bfloat16() -> bool:
    """Tell whether the processor computes bfloat16 by emulation, slowly.

    Returns:
        bool: False where Linux does not list the processor's instructions.
    """
    listed = Path('/proc/cpuinfo')
    flags = listed.read_text() if listed.is_file() else 'bf16'
    return re.search(r'\b(avx512_bf16|amx_bf16|bf16)\b', flags) is None


SLOW_BFLOAT16 = (
    'This processor has no bfloat16 instructions, so mixed precision on it '
    'can be ten times as slow as float32. Leave out --amp '
    '(optim_wrapper.type=BFloat16OptimWrapper), or use a GPU.')
