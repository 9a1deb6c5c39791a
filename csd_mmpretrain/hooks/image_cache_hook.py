"""Each image is decoded once in a run."""
import platform
from typing import Dict, List, Optional, Sequence, Tuple

from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    get_rank,
    is_main_process,
)
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS
from torch.utils.data import Dataset

from csd_mmpretrain.datasets.data_check import WORKERS
from csd_mmpretrain.datasets.image_cache import ImageCache
from csd_mmpretrain.datasets.image_cache_plan import (
    ImageKey,
    LoadingStep,
    decoded_sizes,
    loading_steps,
)
from csd_mmpretrain.datasets.transforms.cached_load_image import (
    CachedLoadImage,
)
from csd_mmpretrain.utils.free_memory import free_memory

GIB = 2**30


@HOOKS.register_module()
class ImageCacheHook(Hook):
    """Keep decoded images in memory that all data workers share.

    From ``before_train`` to ``after_train`` it takes the place of
    LoadImageFromFile in the pipelines of the training and the validation
    data: an image is decoded by whoever needs it first, and read from memory
    from then on. The pixels are the same, so a run ends with the same
    weights. The processes of a distributed run share one cache on each
    machine.

    Data that do not fit are loaded as ever, and one line in the log says so;
    the training data come first. So are files behind another backend than the
    local disk, and images loaded by a subclass of LoadImageFromFile or inside
    of another transform.

    Args:
        max_gib (float): All decoded images at most, in GiB on each machine;
            0 means no cache. Nor is more taken than half of the memory that
            is free at the start. Both hold for one training: several at a
            time each take as much. Defaults to 4.0.

    Raises:
        ValueError: If ``max_gib`` is negative.

    Source: choice.

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
        self._places: Dict[ImageKey, Tuple[ImageCache, int]] = {}
        self._taken = 0
        self._replaced: List[Tuple[list, int, object]] = []

    def before_train(self, runner: Runner) -> None:
        """Put the cache into the pipelines.

        Args:
            runner (Runner): The runner of the training.
        """
        if not self.max_gib:
            return
        datasets = dict(training=runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            datasets['validation'] = runner.val_dataloader.dataset
        kept = []
        by_iterations = isinstance(runner.train_loop, IterBasedTrainLoop)
        if by_iterations and runner.train_dataloader.num_workers:
            del datasets['training']
            runner.logger.info(
                'Image cache: off for the training data, as its workers have '
                'started already, which a training by iterations does first.')
        for purpose, dataset in datasets.items():
            fault, text = self._install(dataset)
            if fault:
                runner.logger.info(
                    f'Image cache: off for the {purpose} data, as {fault}.')
            else:
                kept.append(f'{text} of the {purpose} data')
        if kept:
            runner.logger.info(
                f'Image cache: {" and ".join(kept)}; each is decoded once, '
                'into memory that the data workers share.')

    def after_train(self, runner: Runner) -> None:
        """Restore the pipelines, and let go of the memory.

        Args:
            runner (Runner): The runner of the training.
        """
        for transforms, position, loader in self._replaced:
            transforms[position] = loader
        for cache in {id(c): c for c, _ in self._places.values()}.values():
            cache.close()
        self._replaced, self._places, self._taken = [], {}, 0

    def _install(self, dataset: Dataset) -> Tuple[Optional[str], str]:
        """Cache the images of a dataset: why not, or how many and large."""
        steps = list(loading_steps(dataset))
        if not steps:
            return 'LoadImageFromFile loads none of its images from disk', ''
        keys = dict.fromkeys(key for step in steps for key in step.keys)
        new = [key for key in keys if key not in self._places]
        found = [None]
        if is_main_process():
            limit = self.max_gib * GIB - self._taken
            found = [decoded_sizes(new, limit, WORKERS)]
        broadcast_object_list(found)
        sizes, needed = found[0]
        cache, fault = self._make_cache(sizes, needed)
        if fault:
            return fault, ''
        self._taken += needed
        self._places.update(
            (key, (cache, index)) for index, key in enumerate(new)
            if sizes[index])
        for step in steps:
            self._replace(step)
        return None, f'{len(new)} images ({needed / GIB:.2f} GiB)'

    def _make_cache(
            self, sizes: Sequence[int],
            needed: int) -> Tuple[Optional[ImageCache], Optional[str]]:
        """Make a cache, or open that of the machine's first process."""
        hosts = all_gather_object(platform.node())
        leader = hosts.index(platform.node())
        cache = handle = fault = None
        try:
            if get_rank() == leader:
                fault = self._misfit(needed)
                cache = None if fault else ImageCache(sizes)
                handle = cache and cache.handle
        except (AttributeError, OSError) as error:
            fault = f'the system offers no memory to share ({error})'
        handle, fault = all_gather_object((handle, fault))[leader]
        if fault is None and cache is None:
            try:
                cache = ImageCache(sizes, handle)
            except OSError as error:
                fault = f'that of process {leader} cannot be shared ({error})'
        return cache, fault

    def _misfit(self, needed: int) -> Optional[str]:
        """Say why so many bytes are too many, if they are."""
        free = free_memory()
        allowed = min(self.max_gib * GIB, free / 2) - self._taken
        if needed <= allowed:
            return None
        return (f'its images need {needed / GIB:.2f} GiB when decoded, and '
                f'{max(0., allowed) / GIB:.2f} GiB are allowed (max_gib='
                f'{self.max_gib:g} or half of the {free / GIB:.2f} GiB of '
                f'free memory, less {self._taken / GIB:.2f} GiB of other '
                'data; a larger default_hooks.image_cache.max_gib allows '
                'more)')

    def _replace(self, step: LoadingStep) -> None:
        places = {key.path: self._places[key] for key in step.keys
                  if key in self._places}
        loader = step.loader
        self._replaced.append((step.transforms, step.position, loader))
        step.transforms[step.position] = CachedLoadImage(loader, places)
