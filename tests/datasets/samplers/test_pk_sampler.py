"""P x K batches: their classes, ranks and epochs."""
from unittest.mock import patch

import numpy as np
import pytest
import torch

from csd_mmpretrain.datasets.samplers import (
    PKSampler,
    SeededBatchSampler,
    pk_sampler,
)
from csd_mmpretrain.datasets.samplers.pk_sampler import pk_batches


class Labels(torch.utils.data.Dataset):

    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def get_cat_ids(self, index):
        return [int(self.labels[index])]


def labels_of(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.RandomState(0).permutation(labels)


@pytest.mark.parametrize('counts, p, k', [
    ((8, ) * 7, 3, 2), ((8, ) * 7, 7, 8), ((3, 4, 9, 5, 3), 2, 3),
    ((2, 2), 2, 2), ((5, 9, 30), 2, 4)])
def test_each_batch_has_p_classes_of_k_images(counts, p, k):
    labels = labels_of(counts)
    for epoch in range(3):
        batches = pk_batches(labels, p, k, 40, 1, epoch)
        for batch in batches:
            found, sizes = np.unique(labels[batch], return_counts=True)
            assert len(found) == p and (sizes == k).all()
            assert (labels[batch] == labels[batch[0]]).all()  # columns
            assert len(np.unique(batch)) == p * k
        # Classes come equally often, but for one.
        per_class = np.bincount(labels[batches[:, 0]].ravel())
        assert per_class.max() - per_class.min() <= 1
        # And so do the images of a class.
        images = np.bincount(batches.ravel(), minlength=len(labels))
        for label in range(len(counts)):
            mine = images[labels == label]
            assert mine.max() - mine.min() <= 1


def test_a_small_class_gives_its_images_several_times():
    labels = np.repeat([0, 1, 2], (1, 2, 6))
    batch, = pk_batches(labels, 3, 4, 1, 0, 0)
    for column in batch.T:
        size = (labels == labels[column[0]]).sum()
        counts = np.unique(column, return_counts=True)[1]
        assert len(counts) == min(4, size) and counts.max() <= -(-4 // size)
    with patch.object(pk_sampler, 'print_log') as log:
        PKSampler(Labels(labels), 2, 4, seed=0)
        PKSampler(Labels(labels[1:]), 2, 2, seed=0)
    log.assert_called_once()
    assert '2 of 3 classes have fewer than num_images=4' in log.call_args[0][0]


@pytest.mark.parametrize('world', [2, 3])
def test_ranks_share_the_batches_of_one_process(world):
    labels = labels_of((8, ) * 9)
    dataset, per_rank = Labels(labels), 6 * 2 // world

    def batches(rank, ranks, batch_size):
        with patch.object(pk_sampler, 'get_dist_info', lambda: (rank, ranks)):
            sampler = PKSampler(dataset, 6, 2, seed=3)
        sampler.set_epoch(4)
        assert len(sampler) == len(list(sampler))
        name = 'csd_mmpretrain.datasets.samplers.seeded_batch_sampler.'
        with patch(name + 'get_dist_info', lambda: (rank, ranks)):
            batches = SeededBatchSampler(sampler, batch_size)
            assert len(batches) == len(labels) // 12
            return list(batches)

    whole = batches(0, 1, 12)
    parts = [batches(rank, world, per_rank) for rank in range(world)]
    for number, batch in enumerate(whole):
        for rank in range(world):
            part = parts[rank][number]
            # The images and seeds of every R-th place.
            assert part.indices == batch.indices[rank::world]
            assert part.seeds == batch.seeds[rank::world]
            sizes = np.unique(labels[part.indices], return_counts=True)[1]
            assert len(sizes) == 6 // world and (sizes == 2).all()


def test_seed_and_epoch_choose_the_order():
    dataset = Labels(labels_of((4, ) * 5))

    def order(seed, epoch):
        sampler = PKSampler(dataset, 2, 2, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, epoch))
                for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_the_number_of_batches():
    dataset = Labels(labels_of((4, ) * 5))
    assert len(PKSampler(dataset, 2, 2, seed=0)) == 20
    assert len(PKSampler(dataset, 5, 3, seed=0)) == 15
    assert len(PKSampler(dataset, 5, 5, seed=0)) == 25  # at least one
    assert len(PKSampler(dataset, 2, 2, num_batches=9, seed=0)) == 36
    assert isinstance(PKSampler(dataset, 2, 2).seed, int)


def test_errors():
    dataset = Labels(labels_of((4, ) * 5))
    for p, k, error in ((2, 1, 'num_images=1, but a batch needs two'),
                        (1, 2, 'num_classes=1, but a batch needs two'),
                        (6, 2, 'num_classes=6, but the data has.*5 classes')):
        with pytest.raises(ValueError, match=error):
            PKSampler(dataset, p, k, seed=0)
    with patch.object(pk_sampler, 'get_dist_info', lambda: (0, 2)):
        with pytest.raises(ValueError, match='not a multiple of the 2 proc'):
            PKSampler(dataset, 3, 2, seed=0)
