"""Tests of DDLQueueLoss against loops over anchors and keys."""
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip('hypothesis')
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from csd_mmpretrain.methods.csdnet import ddl_queue_loss
from csd_mmpretrain.methods.csdnet.ddl_queue_loss import (
    DDLQueueLoss,
    queue_contrast,
)


def slow_loss(anchors, anchor_labels, keys, key_labels, left_out, margin,
              negatives):
    """L_qc of PAPER, one pair at a time."""
    total = 0.
    for i, anchor in enumerate(anchors):
        pos, neg = [], []
        for j, key in enumerate(keys):
            if j in left_out[i]:
                continue
            cos = torch.dot(anchor, key)
            if anchor_labels[i] == key_labels[j]:
                pos.append(1 - cos)
            elif negatives == 'all' or cos > margin:
                neg.append((cos - margin).clamp(min=0))
        for terms in (pos, neg):
            if terms:
                total = total + sum(terms) / len(terms)
    return total / len(anchors)


@given(
    num_views=st.integers(1, 2),
    channels=st.integers(2, 6),
    classes=st.integers(1, 5),
    queue_len=st.integers(1, 24),
    batches=st.lists(st.integers(1, 8), min_size=1, max_size=3),
    margin=st.floats(-0.9, 0.9),
    negatives=st.sampled_from(['all', 'violating']),
    enqueue=st.sampled_from(['raw', 'both']),
    own_image=st.booleans(),
    seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_value_gradient_and_queue_equal_the_loop(num_views, channels, classes,
                                                 queue_len, batches, margin,
                                                 negatives, enqueue,
                                                 own_image, seed):
    torch.manual_seed(seed)
    loss = DDLQueueLoss(
        channels, queue_len, margin=margin, negatives=negatives,
        enqueue=enqueue, own_image=own_image, loss_weight=0.7)
    memory = []
    for batch in batches:
        views = torch.randn(num_views, batch, channels, requires_grad=True)
        images = torch.randperm(9)[:batch]
        labels = images % classes
        out = loss(views, labels, *[images] * loss.needs_images)
        out['loss_qc'].backward()

        slow_views = views.detach().clone().requires_grad_()
        anchors = F.normalize(slow_views, dim=-1).flatten(0, 1)
        anchor_labels = labels.repeat(num_views)
        memory = memory[-queue_len:]
        keys = [k for k, _, _ in memory] + list(anchors.detach())
        key_labels = [y for _, y, _ in memory] + anchor_labels.tolist()
        left_out = [{len(memory) + i} for i in range(len(anchors))]
        if not own_image:
            for own, number in zip(left_out, images.repeat(num_views)):
                own.update(j for j, (_, _, image) in enumerate(memory)
                           if image == number)
        expected = 0.7 * slow_loss(anchors, anchor_labels, keys, key_labels,
                                   left_out, margin, negatives)
        # Adds nothing, and gives an anchor without partners a gradient of 0.
        expected = expected + 0 * slow_views.sum()
        expected.backward()
        torch.testing.assert_close(
            out['loss_qc'], expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            views.grad, slow_views.grad, atol=1e-5, rtol=1e-4)
        positives = [
            sum(y == int(label) and j not in own
                for j, (_, y, _) in enumerate(memory))
            for label, own in zip(anchor_labels, left_out)
        ]
        torch.testing.assert_close(
            out['ddl_positives'],
            torch.tensor(sum(positives) / len(positives)))
        remembered = len(anchors) if enqueue == 'both' else batch
        memory += list(
            zip(anchors.detach()[:remembered],
                anchor_labels[:remembered].tolist(),
                images.repeat(num_views)[:remembered].tolist()))


@pytest.mark.parametrize('negatives', ['all', 'violating'])
@pytest.mark.parametrize('margin', [-0.2, 0.4])
@pytest.mark.parametrize('keys_in_block', [1, 3, 7, 1000])
@pytest.mark.parametrize('own_image', [True, False])
def test_blocks_of_any_size_give_the_same(monkeypatch, own_image,
                                          keys_in_block, margin, negatives):
    torch.manual_seed(0)
    anchors = F.normalize(torch.randn(2, 5, 4).double(), dim=-1)
    labels = torch.tensor([0, 1, 1, 2, 9])
    queue = F.normalize(torch.randn(30, 4).double(), dim=-1)
    queue_labels = torch.randint(-1, 4, (30, ))
    queue[queue_labels < 0] = 0
    keys = [(queue, queue_labels),
            (anchors.flatten(0, 1), labels.repeat(2))]
    anchors.requires_grad_()
    if not own_image:
        keys[0] += (torch.arange(30) % 7, )

    def contrast():
        loss, positives = queue_contrast(anchors, labels, keys, margin,
                                         negatives, torch.arange(5))
        return loss, *torch.autograd.grad(loss.sum(), anchors), positives

    expected = contrast()
    monkeypatch.setitem(ddl_queue_loss.BLOCK_BYTES, 'cpu',
                        keys_in_block * 8 * 10)
    found = contrast()
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other)
    assert found[-1][-1] == 1  # the other view


class LargestTensor(TorchDispatchMode):
    """Bytes of the largest storage that is made."""

    def __init__(self, known):
        super().__init__()
        self.known = {x.untyped_storage().data_ptr() for x in known}
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **kwargs or {})
        if isinstance(out, torch.Tensor):
            storage = out.untyped_storage()
            if storage.data_ptr() not in self.known:
                self.bytes = max(self.bytes, storage.nbytes())
        return out


@pytest.mark.parametrize('negatives', ['all', 'violating'])
def test_nothing_of_the_size_of_the_queue_is_made(monkeypatch, negatives):
    monkeypatch.setitem(ddl_queue_loss.BLOCK_BYTES, 'cpu', 2**14)
    largest = []
    for queue_len in (1000, 8000):
        loss = DDLQueueLoss(32, queue_len, negatives=negatives)
        views = torch.randn(2, 16, 32, requires_grad=True)
        with LargestTensor(loss.queue.buffers()) as mode:
            loss(views, torch.arange(16))['loss_qc'].backward()
        largest.append(mode.bytes)
    assert largest[0] == largest[1] <= 2**14


def test_empty_queue_says_so_and_contrasts_inside_the_batch():
    loss = DDLQueueLoss(8, 32)
    out = loss(torch.randn(2, 4, 8), torch.tensor([0, 1, 1, 2]))
    assert out['ddl_positives'] == 0 and out['loss_qc'] > 0
    out = loss(torch.randn(2, 4, 8), torch.tensor([0, 1, 1, 2]))
    assert out['ddl_positives'] == 6 / 4


@pytest.mark.parametrize('own_image', [True, False])
def test_queue_survives_a_checkpoint(own_image):
    first, second = (DDLQueueLoss(4, 6, own_image=own_image)
                     for _ in range(2))
    labels = torch.tensor([0, 0, 1, 2])
    images = [torch.arange(4)] * (not own_image)
    for _ in range(3):
        first(torch.randn(2, 4, 4), labels, *images)
    second.load_state_dict(first.state_dict())
    views = torch.randn(2, 4, 4)
    assert first(views, labels, *images)['loss_qc'] == second(
        views, labels, *images)['loss_qc']


def test_nothing_is_remembered_outside_training():
    loss = DDLQueueLoss(feat_dim=4, queue_len=8).eval()
    loss(torch.rand(2, 3, 4), torch.tensor([0, 1, 1]))
    assert (loss.queue.labels == -1).all() and not loss.queue.features.any()


def test_backward_after_the_queue_was_written():
    loss = DDLQueueLoss(4, 6)
    views = torch.randn(2, 3, 4, requires_grad=True)
    outs = [loss(views, torch.tensor([0, 0, 1])) for _ in range(3)]
    sum(out['loss_qc'] for out in outs).backward()
    assert views.grad.isfinite().all() and views.grad.abs().sum() > 0


def test_projector_learns_and_sets_the_queue_width():
    loss = DDLQueueLoss(8, 6, projector=3)
    assert loss.queue.features.shape == (6, 3)
    out = loss(torch.randn(2, 4, 8), torch.tensor([0, 0, 1, 2]))
    out['loss_qc'].backward()
    assert loss.projector[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize('fill', [0., 1., 6e4])
def test_equal_and_huge_features_stay_finite(fill):
    views = torch.full((2, 4, 8), fill, requires_grad=True)
    out = DDLQueueLoss(8, 4)(views, torch.tensor([0, 0, 1, 2]))
    out['loss_qc'].backward()
    assert out['loss_qc'].isfinite() and views.grad.isfinite().all()


def test_computes_in_float32_under_autocast():
    loss = DDLQueueLoss(8, 4, projector=4)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = loss(torch.randn(2, 4, 8).bfloat16(), torch.tensor([0, 0, 1, 2]))
    assert out['loss_qc'].dtype == torch.float32


@pytest.mark.parametrize('option, message', [
    (dict(queue_len=0), 'queue_len.*0'),
    (dict(queue_len=-1), 'queue_len.*-1'),
    (dict(margin=1.2), 'margin=1.2'),
    (dict(margin=-1.01), 'margin=-1.01'),
    (dict(negatives='hard'), "negatives='hard'"),
    (dict(enqueue='aug'), "enqueue='aug'"),
])
def test_bad_options_are_named(option, message):
    with pytest.raises(ValueError, match=message):
        DDLQueueLoss(8, **option)


def test_channels_must_match():
    with pytest.raises(ValueError, match='feat_dim=8.*6 channels'):
        DDLQueueLoss(8)(torch.rand(2, 3, 6), torch.tensor([0, 0, 1]))
