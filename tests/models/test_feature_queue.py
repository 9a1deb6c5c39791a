"""Tests of FeatureQueue against a deque."""
from collections import deque

import pytest
import torch

from csd_mmpretrain.models.utils import FeatureQueue


@pytest.mark.parametrize('length', [1, 5, 17])
@pytest.mark.parametrize('sizes', [(1, ), (3, 3, 3), (5, 1, 7), (40, 2),
                                   (17, 17, 16), (4, ) * 13])
def test_holds_the_last_entries_like_a_deque(length, sizes):
    queue = FeatureQueue(length, 2)
    reference = deque(maxlen=length)
    label = 0
    for n in sizes:
        labels = torch.arange(label, label + n)
        label += n
        features = labels[:, None] * torch.tensor([1., -1.])
        queue.enqueue(features, labels)
        reference.extend(labels.tolist())
    filled = queue.labels >= 0
    assert sorted(queue.labels[filled].tolist()) == list(reference)
    assert torch.equal(queue.features[filled],
                       queue.labels[filled][:, None] * torch.tensor([1., -1.]))
    assert int(queue.ptr) == sum(sizes) % length
    order = queue.labels.roll(-int(queue.ptr))
    assert order[order >= 0].tolist() == list(reference)


def test_starts_empty_and_is_saved_with_its_place():
    queue = FeatureQueue(3, 2)
    assert (queue.labels == -1).all()
    queue.enqueue(torch.rand(4, 2), torch.arange(4))
    restored = FeatureQueue(3, 2)
    restored.load_state_dict(queue.state_dict())
    for q in (queue, restored):
        q.enqueue(torch.ones(1, 2), torch.tensor([9]))
    assert torch.equal(queue.labels, restored.labels)
    assert torch.equal(queue.features, restored.features)


def test_stays_float32_and_takes_half():
    queue = FeatureQueue(3, 2)
    queue.enqueue(torch.ones(2, 2, dtype=torch.bfloat16), torch.arange(2))
    assert queue.features.dtype == torch.float32


@pytest.mark.parametrize('length', [0, -3])
def test_needs_a_place(length):
    with pytest.raises(ValueError, match=f'queue_len.*{length}'):
        FeatureQueue(length, 2)
