"""Each image is decoded once in a run."""
import platform
import re
from itertools import count
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.datasets.image_cache import ImageCache, decoded_sizes
from csd_mmpretrain.datasets.transforms.cached_load_image import (
    CachedLoadImage,
    loading_steps,
)

_GIB = 2**30
# Files of a control group, of version 2 and 1: the limit, what is used, and
# the part of it that can be dropped.
_GROUP_FILES = (
    ('memory.max', 'memory.current', 'inactive_file'),
    ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'))


@HOOKS.register_module()
class ImageCacheHook(Hook):
    """Keep decoded images in memory that all data workers share.

    During a training it takes the place of LoadImageFromFile in the pipelines
    of the training and the validation data: an image is decoded by whoever
    needs it first, and read from memory from then on. The pixels are the
    same, so a run ends with the same weights. The processes of a distributed
    run share one cache on each machine.

    Data that do not fit are loaded as usual, and one line in the log says so;
    the training data come first. Nor are files kept that lie behind another
    backend than the local disk, or that another transform loads, or images of
    more than three 8-bit channels.

    Args:
        max_gib (float): All decoded images at most, in GiB on each machine;
            0 means no cache. Nor is more taken than half of the memory that
            is free at the start. Both hold for one training: several at a
            time each take as much. Defaults to 4.0.

    Raises:
        ValueError: If ``max_gib`` is negative.

    Example:
        >>> default_hooks = dict(image_cache=dict(type='ImageCacheHook'))
    """

    # After DatasetCheckHook, before a hook that validates before the start.
    priority = 'BELOW_NORMAL'

    def __init__(self, max_gib: float = 4.0) -> None:
        if not max_gib >= 0:
            raise ValueError(f'ImageCacheHook: max_gib={max_gib!r}; expected '
                             'a size in GiB, or 0 for no cache.')
        self.max_gib = max_gib
        self._taken = 0
        self._caches: List[ImageCache] = []
        self._replaced: List[Tuple[list, int]] = []

    def before_train(self, runner: Runner) -> None:
        if not self.max_gib:
            return
        datasets = dict(training=runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            datasets['validation'] = runner.val_dataloader.dataset
        kept = []
        for purpose, dataset in datasets.items():
            steps = list(loading_steps(dataset))
            paths = [path for _, _, found in steps for path in found]
            if not paths:
                fault = 'LoadImageFromFile loads none of its images from disk'
            elif (purpose == 'training'
                  and isinstance(runner.train_loop, IterBasedTrainLoop)
                  and runner.train_dataloader.num_workers):
                fault = ('its workers have started already, which a training '
                         'by iterations does first')
            else:
                cache, needed, fault = self._make_cache(paths)
            if fault:
                runner.logger.info(
                    f'Image cache: off for the {purpose} data, as {fault}.')
                continue
            kept.append(f'{len(paths)} images ({needed / _GIB:.2f} GiB) of '
                        f'the {purpose} data')
            self._taken += needed
            self._caches.append(cache)
            index = count()
            for transforms, position, found in steps:
                transforms[position] = CachedLoadImage(
                    transforms[position], cache,
                    {path: next(index) for path in found})
                self._replaced.append((transforms, position))
        if kept:
            runner.logger.info(
                f'Image cache: {" and ".join(kept)}; each is decoded once, '
                'into memory that the data workers share.')

    def after_train(self, runner: Runner) -> None:
        for transforms, position in self._replaced:
            transforms[position] = transforms[position].loader
        for cache in self._caches:
            cache.close()
        self._replaced, self._caches, self._taken = [], [], 0

    def _make_cache(self, paths: Sequence[str]
                    ) -> Tuple[Optional[ImageCache], int, Optional[str]]:
        """A cache, its bytes, and why there is none.

        The first process of each machine makes it, the others open it.
        """
        hosts = all_gather_object(platform.node())
        leader = hosts.index(platform.node())
        cache = handle = fault = None
        sizes, needed = [], 0
        if get_rank() == leader:
            try:
                free = _free_memory()
                allowed = min(self.max_gib * _GIB, free / 2) - self._taken
                sizes, needed = decoded_sizes(paths, allowed)
                if needed <= allowed:
                    cache = ImageCache(sizes)
                    handle = cache.handle
                else:
                    fault = self._misfit(needed, allowed, free)
            except (AttributeError, OSError) as error:
                fault = f'the system offers no memory to share ({error})'
        sizes, needed, handle, fault = all_gather_object(
            (sizes, needed, handle, fault))[leader]
        if cache is None and not fault:
            try:
                cache = ImageCache(sizes, handle)
            except OSError as error:
                fault = f'that of process {leader} cannot be shared ({error})'
        return cache, needed, fault

    def _misfit(self, needed: int, allowed: float, free: int) -> str:
        return (
            f'its images need {needed / _GIB:.2f} GiB when decoded, and '
            f'{max(0., allowed) / _GIB:.2f} GiB are allowed (max_gib='
            f'{self.max_gib:g} or half of the {free / _GIB:.2f} GiB of free '
            f'memory, less {self._taken / _GIB:.2f} GiB of other data; a '
            'larger default_hooks.image_cache.max_gib allows more)')


def _free_memory(root: Path = Path('/')) -> int:
    """Bytes that the machine has available for this process.

    The limits of its control groups (of a container or a batch system) count.
    """
    meminfo = (root / 'proc/meminfo').read_text()
    free = 1024 * int(re.search(r'MemAvailable:\s*(\d+)', meminfo)[1])
    groups = root / 'proc/self/cgroup'
    for line in groups.read_text().splitlines() if groups.exists() else ():
        _, names, path = line.split(':', 2)
        if names and 'memory' not in names.split(','):
            continue
        limit, used, stale = _GROUP_FILES[bool(names)]
        top = root / 'sys/fs/cgroup' / ('memory' if names else '')
        for group in (Path(path), *Path(path).parents):
            folder = top / group.relative_to('/')
            try:
                left = (int((folder / limit).read_text())
                        - int((folder / used).read_text()))
            except (OSError, ValueError):
                continue  # no such group, or 'max', which is no limit
            stat = (folder / 'memory.stat').read_text()
            found = re.search(rf'^{stale} (\d+)', stat, re.MULTILINE)
            left += int(found[1]) if found else 0
            free = min(free, max(0, left))
    return free
