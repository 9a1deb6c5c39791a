"""Reuse of freed CPU memory by the next step."""
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.runtime.kept_memory import keep_freed_memory
from csd_mmpretrain.runtime.undisturbed import same_random_states
from csd_mmpretrain.utils.unwrap import unwrap


@HOOKS.register_module()
class KeepMemoryHook(Hook):
    """Keep freed memory on a CPU for the next step, in training and test.

    By default glibc returns freed blocks of 32 MiB or more to the system,
    which hands them out again, page by page, in the next step. With this
    hook the process keeps blocks of up to 1 GiB until it ends, see
    :func:`csd_mmpretrain.runtime.kept_memory.keep_freed_memory`. With other C
    libraries, and on a GPU, whose memory torch keeps itself, nothing happens.

    The validation's persistent workers start before the first step, as a
    forked process holds on to all memory that its parent has kept by then.

    Args:
        enabled (bool): Defaults to True.

    Example:
        >>> default_hooks = dict(keep_memory=dict(type='KeepMemoryHook'))
    """

    priority = 'LOW'  # after ImageCacheHook, as workers keep their pipeline

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def before_run(self, runner: Runner) -> None:
        if self._is_wanted(runner):
            keep_freed_memory()

    def before_train(self, runner: Runner) -> None:
        if runner.val_loop is None or not self._is_wanted(runner):
            return
        loader = runner.val_dataloader
        if loader.num_workers and loader.persistent_workers:
            with same_random_states():
                iter(loader)

    def _is_wanted(self, runner: Runner) -> bool:
        device = next(unwrap(runner.model).parameters()).device
        return self.enabled and device.type == 'cpu'
