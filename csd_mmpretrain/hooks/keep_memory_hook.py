"""The memory of a step is kept for the next one, and by nobody else."""
import ctypes

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.runtime.undisturbed import same_random_states
from csd_mmpretrain.utils.unwrap import unwrap

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

    The validation's persistent workers start before the first step, instead
    of at the first validation: what a process forks off holds on to all that
    the process has kept by then.

    Args:
        enabled (bool): Defaults to True.

    Source: ``mallopt`` of the GNU C Library.

    Example:
        ::

            default_hooks = dict(keep_memory=dict(type='KeepMemoryHook'))
    """

    priority = 'LOW'  # after ImageCacheHook, as workers keep their pipeline

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def before_run(self, runner: Runner) -> None:
        """Set the C library's allocator.

        Args:
            runner (Runner): The runner of the training, validation or test.
        """
        if self._is_wanted(runner):
            keep_freed_memory()

    def before_train(self, runner: Runner) -> None:
        """Start the validation's workers while there is little to hold.

        Args:
            runner (Runner): The runner of the training.
        """
        if runner.val_loop is None or not self._is_wanted(runner):
            return
        loader = runner.val_dataloader
        if loader.num_workers and loader.persistent_workers:
            with same_random_states():
                iter(loader)

    def _is_wanted(self, runner: Runner) -> bool:
        device = next(unwrap(runner.model).parameters()).device
        return self.enabled and device.type == 'cpu'


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
