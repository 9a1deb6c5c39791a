"""Batches whose augmentation does not depend on who loads them, or when."""
import random
from typing import Iterator, List

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler, Sampler


def mix_seed(*source: int) -> int:
    """Make one seed below 2**32 of several numbers of 0 or more.

    Source: NumPy's ``SeedSequence``; close numbers give unlike seeds.
    """
    return int(np.random.SeedSequence(source).generate_state(1)[0])


class SeededBatch:
    """The indices of a batch, which seed the random generators when read.

    A data loader reads one index, loads its image, reads the next. Each index
    comes with a seed for Python, NumPy and torch (on the CPU), so an image is
    augmented alike in any worker or in none. The generators are restored
    afterwards.

    Args:
        indices (list[int]): Of the samples in the dataset.
        seeds (list[int]): Of each sample, below 2**32.
    """

    def __init__(self, indices: List[int], seeds: List[int]) -> None:
        self.indices = indices
        self.seeds = seeds

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        python, numpy = random.getstate(), np.random.get_state()
        own = torch.get_rng_state()
        try:
            for index, seed in zip(self.indices, self.seeds):
                random.seed(seed)
                np.random.seed(seed)
                torch.default_generator.manual_seed(seed)
                yield index
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            torch.set_rng_state(own)


@DATA_SAMPLERS.register_module()
class SeededBatchSampler(BatchSampler):
    """Batches in which each sample has a random seed of its own.

    The seed of a sample is made of the run's seed, the epoch, and the place
    of the sample in the epoch of all processes. So the augmentation does not
    depend on the number of workers, a resumed run sees what an unbroken one
    would, and R processes with batches of B see what one process with batches
    of R x B sees. With the stock batches, workers repeat the augmentation of
    every epoch, or after a resume that of the first one.

    Args:
        sampler (Sampler): The ``sampler`` of the data loader, with a ``seed``
            and an ``epoch``.
        batch_size (int): That of the data loader.
        drop_last (bool): Leave an incomplete last batch out. Defaults to
            False.

    Attributes:
        start (int): Batches to skip, without loading them, in the next epoch;
            ``ExactResumeHook`` sets it.

    Raises:
        TypeError: If the sampler has no seed or no epoch.
        ValueError: If an epoch would have no batch.

    Example:
        >>> train_dataloader = dict(
        ...     sampler=dict(type='DefaultSampler', shuffle=True),
        ...     batch_sampler=dict(type='SeededBatchSampler'))
    """

    def __init__(self,
                 sampler: Sampler,
                 batch_size: int,
                 drop_last: bool = False) -> None:
        super().__init__(sampler, batch_size, drop_last)
        if not (hasattr(sampler, 'seed') and hasattr(sampler, 'epoch')):
            raise TypeError(
                'SeededBatchSampler: train_dataloader.sampler is '
                f'{type(sampler).__name__}, which lacks `seed` or `epoch`. '
                'Use DefaultSampler or RepeatAugSampler, or set '
                'train_dataloader.batch_sampler=None (a resumed run then sees '
                'other augmentations).')
        if not len(self):
            raise ValueError(
                f'SeededBatchSampler: {len(sampler)} images make no batch of '
                f'{batch_size} with drop_last={drop_last}, so an epoch would '
                'have no step. Lower train_dataloader.batch_size, set '
                'train_dataloader.batch_sampler.drop_last=False, or add '
                'images.')
        self.start = 0

    def __iter__(self) -> Iterator[SeededBatch]:
        rank, world_size = get_dist_info()
        for number, indices in enumerate(super().__iter__()):
            if number < self.start:
                continue
            first = number * self.batch_size
            yield SeededBatch(indices, [
                mix_seed(self.sampler.seed, self.sampler.epoch,
                         (first + i) * world_size + rank)
                for i in range(len(indices))])
