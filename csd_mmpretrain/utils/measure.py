"""Time of steps that alternate, and peak memory."""
import gc
import platform
import re
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple

import numpy as np
import torch


class Cost(NamedTuple):
    """Seconds (iters,) of some steps, and their peak memory in MiB."""

    seconds: np.ndarray
    peak_mib: float


def machine_name(device: str) -> str:
    """Name the GPU, or the CPU and its number of threads."""
    if device == 'cuda':
        return torch.cuda.get_device_name()
    return f'{platform.machine()} CPU, {torch.get_num_threads()} thread(s)'


def take_turns(steps: Dict[str, Callable[[], None]],
               iters: int,
               warmup: int = 2,
               device: str = 'cpu') -> Dict[str, np.ndarray]:
    """Time several steps that alternate in one process.

    A disturbance of the machine hits all of them. Their order changes from
    turn to turn.

    Args:
        steps (dict[str, Callable]): Steps by name.
        iters (int): Measured turns.
        warmup (int): Turns before them that are not counted. Defaults to 2.
        device (str): ``'cpu'`` or ``'cuda'``. Defaults to ``'cpu'``.

    Returns:
        dict[str, ndarray]: Seconds (iters,), by name.

    Example:
        >>> len(take_turns(dict(a=lambda: None, b=lambda: None), 3)['a'])
        3
    """
    seconds = {name: [] for name in steps}
    order = list(steps)
    for _ in range(warmup + iters):
        order = order[1:] + order[:1]
        for name in order:
            start = seconds_now(device)
            steps[name]()
            seconds[name].append(seconds_now(device) - start)
    return {name: np.array(times[warmup:]) for name, times in seconds.items()}


def seconds_now(device: str) -> float:
    """Read the clock after all work on the device is done."""
    if device != 'cpu':
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_growth(work: Callable[[], Any], device: str) -> float:
    """Measure by how many MiB memory grows during some work, at its peak.

    On a CPU it is the resident memory of the process, on a GPU what torch has
    allocated.
    """
    gc.collect()
    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        # Linux: the peak starts again from what is in use. Elsewhere an
        # earlier and higher peak hides some of the growth.
        Path('/proc/self/clear_refs').write_text('5')
    before = _peak_mib(device)
    work()
    return _peak_mib(device) - before


def _peak_mib(device: str) -> float:
    if device != 'cpu':
        return torch.cuda.max_memory_allocated() / 2**20
    with suppress(OSError):
        # Unlike `ru_maxrss`, not that of the process that started this one.
        status = Path('/proc/self/status').read_text()
        return int(re.search(r'VmHWM:\s+(\d+) kB', status)[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == 'darwin' else 2**10)


def in_process(function: Callable, *args: Any) -> Any:
    """Call a module's function in a new process with as many threads.

    A process that ends early is an error here; a multiprocessing.Pool would
    start another one for ever.
    """
    with ProcessPoolExecutor(
            1, get_context('spawn'), torch.set_num_threads,
            (torch.get_num_threads(), )) as pool:
        return pool.submit(function, *args).result()


def apart(device: str, function: Callable, *args: Any) -> Any:
    """Call a function where memory is measured: in a new process on a CPU.

    There a process hardly gives memory back; torch counts that of a GPU
    exactly, and a new process would take seconds to start.
    """
    if device == 'cpu':
        return in_process(function, *args)
    return function(*args)
