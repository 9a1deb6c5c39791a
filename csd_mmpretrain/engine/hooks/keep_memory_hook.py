"""The C library keeps the memory of a step for the next one."""
import ctypes

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from ..unwrap import unwrap

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


@HOOKS.register_module()
class KeepMemoryHook(Hook):
    """Keep freed memory on a CPU for the next step, in training and test.

    A step frees its activations. glibc gives blocks of 32 MiB or more, and
    what is free at the end of its memory, back to the system, which hands it
    out again, page by page, in the next step. Here the process keeps what it
    frees, up to blocks of 1 GiB, until it ends. With other C libraries, and
    on a GPU, whose memory torch keeps itself, nothing happens. The settings
    hold for the whole process; they are those of the environment variables
    ``MALLOC_TRIM_THRESHOLD_`` and ``MALLOC_MMAP_THRESHOLD_``.

    Args:
        enabled (bool): Defaults to True.

    Source: ``mallopt`` of the GNU C Library.

    Example:
        ::

            default_hooks = dict(keep_memory=dict(type='KeepMemoryHook'))
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def before_run(self, runner: Runner) -> None:
        """Set the C library's allocator.

        Args:
            runner (Runner): The runner of the training, validation or test.
        """
        device = next(unwrap(runner.model).parameters()).device
        if self.enabled and device.type == 'cpu':
            keep_freed_memory()


def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks of up to 1 GiB.

    Returns:
        bool: Whether this is done; False with another C library.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  musl has mallopt too, a stub
    except (AttributeError, OSError, TypeError):
        return False
    return bool(
        libc.mallopt(M_TRIM_THRESHOLD, -1)
        and libc.mallopt(M_MMAP_THRESHOLD, 2**30))
