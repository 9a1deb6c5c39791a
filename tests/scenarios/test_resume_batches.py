"""Augmentation is a function of seed, epoch and place, and of nothing else."""
import random
from unittest.mock import patch

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from torch.utils.data import RandomSampler

from csd_mmpretrain.datasets.samplers import seeded_batch_sampler
from csd_mmpretrain.datasets.samplers.seeded_batch_sampler import (
    SeededBatch,
    SeededBatchSampler,
)


class Draws(torch.utils.data.Dataset):
    """A sample is its index and what three generators draw for it."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return np.array([
            index,
            random.getrandbits(30),
            np.random.randint(1 << 30),
            torch.randint(1 << 30, (1, )).item()
        ])


def loader(length=11, batch_size=3, num_workers=0, seed=5, **kwargs):
    sampler = kwargs.pop('sampler', dict(type='DefaultSampler', shuffle=True))
    return Runner.build_dataloader(
        dict(
            dataset=Draws(length),
            batch_size=batch_size,
            num_workers=num_workers,
            collate_fn=dict(type='default_collate'),
            sampler=sampler,
            batch_sampler=dict(type='SeededBatchSampler'),
            **kwargs),
        seed=seed)


def epoch_of(loader, epoch, start=0):
    loader.batch_sampler.sampler.set_epoch(epoch)
    loader.batch_sampler.start = start
    return [batch.numpy() for batch in loader]


def joined(batches):
    return np.concatenate(batches).tolist()


@pytest.mark.parametrize('workers, persistent', [(1, True), (3, False),
                                                 (2, True)])
def test_workers_change_nothing(workers, persistent):
    plain = loader()
    other = loader(num_workers=workers, persistent_workers=persistent)
    seen = []
    for epoch in (0, 1, 2, 0):
        seen.append(joined(epoch_of(plain, epoch)))
        assert joined(epoch_of(other, epoch)) == seen[-1]
    assert seen[0] == seen[3]
    for column in range(1, 4):
        draws = [row[column] for epoch in seen[:3] for row in epoch]
        assert len(set(draws)) == len(draws) == 33


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('start', [0, 1, 3, 4])
def test_resume_goes_on_with_the_next_batch(workers, start):
    whole = epoch_of(loader(), 2)
    rest = epoch_of(loader(num_workers=workers), 2, start)
    assert len(whole) == 4 and len(rest) == 4 - start
    assert joined(whole[:start] + rest) == joined(whole)


def test_generators_of_the_training_are_left_alone():
    numbers = []
    for read in (True, False):
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        if read:
            list(SeededBatch([3, 4], [7, 8]))
            next(iter(SeededBatch([3], [7])))
        numbers.append(
            (random.random(), np.random.rand(), torch.rand(1).item()))
    assert numbers[0] == numbers[1]


def test_seed_changes_order_and_draws():
    first, second = (epoch_of(loader(seed=seed), 0) for seed in (5, 6))
    assert not set(map(tuple, joined(first))) & set(map(tuple, joined(second)))


@pytest.mark.parametrize('world_size', [2, 3])
def test_distributed_processes_see_what_one_would(world_size):
    """With a batch as large as theirs together."""
    length = 4 * world_size  # no sample is repeated to round up
    parts = []
    for rank in range(world_size):
        info = (rank, world_size)
        with patch('mmengine.dataset.sampler.get_dist_info',
                   return_value=info), patch.object(
                       seeded_batch_sampler,
                       'get_dist_info',
                       return_value=info):
            parts.append(epoch_of(loader(length, batch_size=2), 1))
    whole = epoch_of(loader(length, batch_size=2 * world_size), 1)
    for number, batch in enumerate(whole):
        together = joined([part[number] for part in parts])
        assert sorted(together) == sorted(batch.tolist())


def test_copies_of_a_sample_are_augmented_differently():
    rows = joined(
        epoch_of(
            loader(6, sampler=dict(type='RepeatAugSampler', num_repeats=3)),
            0))
    assert len({row[0] for row in rows}) < len(rows)
    assert len({row[1] for row in rows}) == len(rows)


@pytest.mark.parametrize('drop_last, expected', [(False, 4), (True, 3)])
def test_drop_last(drop_last, expected):
    batches = dict(type='SeededBatchSampler', drop_last=drop_last)
    data = Runner.build_dataloader(
        dict(
            dataset=Draws(11),
            batch_size=3,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=batches))
    assert len(data) == len(list(data)) == expected


def test_sampler_without_an_epoch():
    with pytest.raises(TypeError, match='RandomSampler, which lacks `seed` '
                       'or `epoch`. Use DefaultSampler'):
        SeededBatchSampler(RandomSampler(range(4)), 2)
