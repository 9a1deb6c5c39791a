"""Batches of P classes with K images each."""
from typing import Iterator, List, Optional, Sequence

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.logging import print_log
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import Dataset, Sampler

from csd_mmpretrain.utils.wording import first_names


def pk_batches(labels: np.ndarray, num_classes: int, num_images: int,
               num_batches: int, seed: int, epoch: int) -> np.ndarray:
    """Draw batches of P different classes with K images each.

    Classes come in a random order, all once before one comes again; so do the
    images of a class, from epoch to epoch anew. A class with fewer than K
    images gives them several times.

    Args:
        labels (ndarray): (N,), int64.
        num_classes (int): P.
        num_images (int): K.
        num_batches (int): Batches in the epoch.
        seed (int): Of the run.
        epoch (int): Which epoch.

    Returns:
        ndarray: (batches, K, P), int64, indices into ``labels``; those of a
        class stand in a column.
    """
    random = np.random.default_rng((seed, epoch))
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    images: List[List[int]] = [[] for _ in members]
    classes: List[int] = []
    batches = np.empty((num_batches, num_images, num_classes), np.int64)
    for batch in batches:
        chosen = _take(classes, range(len(members)), num_classes, random)
        for column, label in enumerate(chosen):
            batch[:, column] = _take(images[label], members[label],
                                     num_images, random)
    return batches


def _take(queue: List[int], items: Sequence[int], count: int,
          random: np.random.Generator) -> List[int]:
    """Take the first of a queue, which fills up with all items in turn."""
    while len(queue) < count:
        # What is still in the queue comes last, and so not twice in a batch.
        queue += [*random.permutation(np.setdiff1d(items, queue)),
                  *random.permutation(queue).astype(int)]
    taken = queue[:count]
    del queue[:count]
    return taken


@DATA_SAMPLERS.register_module()
class PKSampler(Sampler):
    """Batches of P classes with K images each, over all processes.

    Losses that compare images need several of a class in each batch. With R
    processes each has P / R classes, and all together the batches that one
    process with ``batch_size=P * K`` has. The order depends on seed and epoch
    alone; with ``SeededBatchSampler`` a resume goes on in the middle of an
    epoch.

    Args:
        dataset (Dataset): With one class per image, and ``get_cat_ids``, as
            mmpretrain's datasets and mmengine's wrappers have.
        num_classes (int): P, classes in a batch of all processes together.
        num_images (int): K, images of a class in a batch.
        num_batches (int, optional): Batches in an epoch. Defaults to None, as
            many as fill with the images of the dataset, at least 1.
        seed (int, optional): Defaults to None, that of the run.

    Raises:
        ValueError: If an image has no label, P or K is below 2, there are
            fewer than P classes, or P is not a multiple of the number of
            processes.

    Source: P x K batches are those of Hermans et al. 2017; how classes and
    images are drawn is a choice.

    Example:
        >>> train_dataloader = dict(
        ...     batch_size=40,
        ...     sampler=dict(type='PKSampler', num_classes=20, num_images=2),
        ...     batch_sampler=dict(type='SeededBatchSampler'))
    """

    def __init__(self,
                 dataset: Dataset,
                 num_classes: int,
                 num_images: int,
                 num_batches: Optional[int] = None,
                 seed: Optional[int] = None) -> None:
        self.rank, self.world_size = get_dist_info()
        try:
            self.labels = np.array(
                [dataset.get_cat_ids(i)[0] for i in range(len(dataset))])
        except KeyError:
            raise ValueError(
                f'PKSampler: {type(dataset).__name__} has images without a '
                'label, which belong to no class. Give a dataset with one '
                'class per image, or use DefaultSampler.') from None
        self.num_classes = num_classes
        self.num_images = num_images
        names, counts = np.unique(self.labels, return_counts=True)
        for name, value in (('num_classes', num_classes),
                            ('num_images', num_images)):
            if value < 2:
                raise ValueError(
                    f'PKSampler: {name}={value}, but a batch needs two '
                    'classes and two images of each to have pairs of one '
                    'class and of two. Give 2 or more.')
        if num_classes > len(names):
            raise ValueError(
                f'PKSampler: num_classes={num_classes}, but the data has '
                f'images of {len(names)} classes. Give {len(names)} or less.')
        if num_classes % self.world_size:
            raise ValueError(
                f'PKSampler: num_classes={num_classes} is not a multiple of '
                f'the {self.world_size} processes, which get equally many '
                'classes. Change num_classes, or the number of processes.')
        few = [str(name) for name in names[counts < num_images]]
        if few:
            print_log(
                f'PKSampler: {len(few)} of {len(names)} classes have fewer '
                f'than num_images={num_images} images and give them several '
                f'times in a batch: labels {first_names(few, 5)}.',
                logger='current', level=30)
        if num_batches is None:
            num_batches = max(1, len(self.labels) //
                              (num_classes * num_images))
        self.num_batches = num_batches
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        batches = pk_batches(self.labels, self.num_classes, self.num_images,
                             self.num_batches, self.seed, self.epoch)
        # Image by image, so that every R-th place has whole classes.
        yield from batches.reshape(-1)[self.rank::self.world_size].tolist()

    def __len__(self) -> int:
        return (self.num_batches * self.num_classes * self.num_images //
                self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Draw other batches in the next epoch."""
        self.epoch = epoch
