"""Times that are taken in turns, and peak memory."""
import gc
import re
import resource
import sys
import time
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Callable, Dict, List, Sequence

import torch


def take_turns(steps: Dict[str, Callable[[], None]],
               iters: int,
               warmup: int = 2,
               device: str = 'cpu') -> Dict[str, List[float]]:
    """Time several steps that alternate in one process.

    What disturbs the machine disturbs all of them. Their order changes from
    turn to turn.

    Args:
        steps (dict[str, Callable]): What is timed, by name.
        iters (int): Measured turns.
        warmup (int): Turns before them that are not counted. Defaults to 2.
        device (str): ``'cpu'`` or ``'cuda'``. Defaults to ``'cpu'``.

    Returns:
        dict[str, list[float]]: Seconds of each turn, by name.

    Example:
        >>> times = take_turns(dict(a=lambda: None, b=lambda: None), iters=3)
        >>> len(times['a']), len(times['b'])
        (3, 3)
    """
    seconds = {name: [] for name in steps}
    order = list(steps)
    for turn in range(warmup + iters):
        order = order[1:] + order[:1]
        for name in order:
            _synchronise(device)
            start = time.perf_counter()
            steps[name]()
            _synchronise(device)
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def _synchronise(device: str) -> None:
    if device != 'cpu':
        torch.cuda.synchronize()


def median_ratio(seconds: Sequence[float], others: Sequence[float]) -> float:
    """Compare two lists of times, turn by turn.

    Args:
        seconds (Sequence[float]): Of :func:`take_turns`.
        others (Sequence[float]): As many.

    Returns:
        float: The median of the ratios.

    Example:
        >>> median_ratio([1., 2., 9.], [1., 1., 3.])
        2.0
    """
    return median(a / b for a, b in zip(seconds, others))


def spread(seconds: Sequence[float]) -> float:
    """Tell how far times lie apart.

    Args:
        seconds (Sequence[float]): Of :func:`take_turns`.

    Returns:
        float: Half the interquartile range over the median.

    Example:
        >>> spread([1.0, 1.0, 1.0])
        0.0
    """
    if len(seconds) < 2:
        return 0.
    low, _, high = quantiles(seconds, n=4, method='inclusive')
    return (high - low) / 2 / median(seconds)


def peak_growth(work: Callable[[], Any], device: str) -> float:
    """Do some work, and tell how far memory grows meanwhile.

    Args:
        work (Callable): Called once.
        device (str): ``'cpu'``: the resident memory of the process counts;
            ``'cuda'``: what torch has allocated there.

    Returns:
        float: The peak during the work less what was in use before, MiB.

    Example:
        >>> grown = peak_growth(lambda: torch.ones(2**24), 'cpu')
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
    """Call a function in a process of its own, with as many threads.

    Args:
        function (Callable): Found by its module and name.
        *args (Any): What it is called with.

    Returns:
        Any: What it returns.
    """
    with get_context('spawn').Pool(
            1, torch.set_num_threads, (torch.get_num_threads(), )) as pool:
        return pool.apply(function, args)
