"""Tests of FeatureQueue against a deque."""
from collections import deque

import pytest
import torch

pytest.importorskip('hypothesis')
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from csd_mmpretrain.layers.feature_queue import FeatureQueue


@given(
    length=st.integers(1, 20),
    sizes=st.lists(st.integers(0, 50), max_size=8),
    dtype=st.sampled_from(
        [torch.float16, torch.bfloat16, torch.float32, torch.float64]),
    seed=st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_holds_the_last_entries_like_a_deque(length, sizes, dtype, seed):
    torch.manual_seed(seed)
    queue = FeatureQueue(length, 2, with_images=True)
    reference = deque(maxlen=length)
    for step, n in enumerate(sizes):
        labels = torch.randint(0, 7, (n, ))
        features = torch.randn(n, 2).to(dtype)
        images = torch.randint(0, 99, (n, ))
        queue.enqueue(features, labels, images)
        reference.extend(zip(features.float().tolist(), labels.tolist(),
                             images.tolist()))

        assert int(queue.ptr) == sum(sizes[:step + 1]) % length
        assert queue.features.dtype == torch.float32
        oldest_first = [x.roll(-int(queue.ptr), 0).tolist()
                        for x in (queue.features, queue.labels, queue.images)]
        empty = [([0., 0.], -1, -1)] * (length - len(reference))
        assert list(zip(*oldest_first)) == empty + list(reference)


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


@pytest.mark.parametrize('length', [0, -3])
def test_needs_a_place(length):
    with pytest.raises(ValueError, match=f'queue_len.*{length}'):
        FeatureQueue(length, 2)
