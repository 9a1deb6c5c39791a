"""Tests of PrototypeQueueLoss against loops over images and classes."""
import itertools
import math

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip('hypothesis')
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from csd_mmpretrain.methods.csdnet.prototype_queue_loss import (
    PrototypeQueueLoss,
    class_spread,
    prototype_cosines,
)


def slow_cosines(anchor, label, image, memory, num_classes):
    """One anchor's cosines, class by class; None where there is no key."""
    cosines = []
    for c in range(num_classes):
        keys = [k for k, y, n in memory
                if y == c and not (c == label and n == image)]
        cosines.append(
            F.cosine_similarity(anchor, sum(keys), dim=0) if keys else None)
    return cosines


def slow_spread(memory, num_classes):
    """The spread from class to class, key by key."""
    keys = {c: [k for k, y, _ in memory if y == c] for c in range(num_classes)}
    means = {c: sum(of) / len(of) for c, of in keys.items() if of}
    freedom = max(1, sum(max(0, len(of) - 1) for of in keys.values()))
    spread = torch.zeros(num_classes, num_classes).double()
    for c, d in itertools.permutations(means, 2):
        axis = (F.normalize(means[d], dim=0) - F.normalize(means[c], dim=0))
        spread[c, d] = sum(((k - means[e]) @ axis)**2
                           for e in means for k in keys[e]) / freedom
    return spread


def slow_loss(cosines, label, scale, margin, added):
    if cosines[label] is None:
        return 0.
    logits = {c: scale * (cos - margin * (c == label)) + added[c]
              for c, cos in enumerate(cosines) if cos is not None}
    top = max(logits.values())
    total = sum(math.exp(logit - top) for logit in logits.values())
    return float(top) + math.log(total) - float(logits[label])


@given(
    num_views=st.integers(1, 2),
    channels=st.integers(2, 6),
    classes=st.integers(1, 5),
    queue_len=st.integers(1, 24),
    batches=st.lists(st.integers(1, 8), min_size=1, max_size=4),
    scale=st.floats(1, 30),
    margin=st.floats(-0.5, 0.5),
    spread=st.sampled_from([0., 0.5, 4.]),
    seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_equals_the_loop_and_never_meets_the_own_image(
        num_views, channels, classes, queue_len, batches, scale, margin,
        spread, seed):
    torch.manual_seed(seed)
    loss = PrototypeQueueLoss(classes, channels, queue_len, scale, margin,
                              spread, loss_weight=0.7).double()
    memory = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, 'float', torch.Tensor.double)
        for batch in batches:
            views = torch.randn(num_views, batch, channels).double()
            views.requires_grad_()
            images = torch.randperm(9)[:batch]
            labels = images % classes
            out = loss(views, labels, images)
            grad, = torch.autograd.grad(out['loss_prototypes'], views)
            assert grad.isfinite().all()

            unit = F.normalize(views.detach(), dim=-1)
            added = spread * scale**2 / 2 * slow_spread(memory, classes)
            values, right = [], []
            for view in unit:
                for one in zip(view, labels.tolist(), images.tolist()):
                    cosines = slow_cosines(*one, memory, classes)
                    values.append(slow_loss(cosines, one[1], scale, margin,
                                            added[one[1]].tolist()))
                    known = [-9 if c is None else float(c) for c in cosines]
                    right.append(cosines[one[1]] is not None
                                 and known[one[1]] == max(known))
            torch.testing.assert_close(
                float(out['loss_prototypes']),
                0.7 * sum(values) / len(values), atol=1e-9, rtol=1e-6)
            assert float(out['prototype_accuracy']) == pytest.approx(
                100 * sum(right) / len(right))
            memory += zip(unit[0], labels.tolist(), images.tolist())
            memory = memory[-queue_len:]


def test_it_bounds_the_mean_over_features_that_spread_as_in_their_classes():
    torch.manual_seed(0)
    keys = F.normalize(torch.randn(4, 6) + 3 * torch.eye(4, 6), dim=1)
    keys = F.normalize(keys.repeat(3, 1) + 0.2 * torch.randn(12, 6), dim=1)
    labels = torch.arange(12) % 4
    axes = F.normalize(
        torch.stack([keys[labels == c].sum(0) for c in range(4)]), dim=1)
    residuals = keys - torch.stack(
        [keys[labels == c].mean(0) for c in range(4)])[labels]
    features = keys[0] + torch.randn(4000, 12) @ residuals / 8**0.5
    mean = F.cross_entropy(9 * features @ axes.t(), labels.new_zeros(4000))
    spread, = class_spread(labels[:1], keys, labels, 4)
    bound = F.cross_entropy(
        9 * keys[0] @ axes.t() + 81 / 2 * spread, labels[0])
    unspread = F.cross_entropy(9 * keys[0] @ axes.t(), labels[0])
    assert unspread < mean < bound < 2 * mean


def test_the_gradient_is_that_of_the_cosines():
    torch.manual_seed(0)
    keys = F.normalize(torch.randn(12, 4).double(), dim=-1)
    labels, images = torch.tensor([0, 2, 1]), torch.tensor([0, 3, 9])
    anchors = torch.randn(2, 3, 4).double().requires_grad_()

    def cosines(anchors):
        return prototype_cosines(
            F.normalize(anchors, dim=-1), labels, images, keys,
            torch.arange(12) % 3, torch.arange(12) % 5, 3)

    assert torch.autograd.gradcheck(cosines, anchors)


def test_a_feature_along_its_prototype_has_a_finite_gradient():
    loss = PrototypeQueueLoss(2, 3, 4)
    views = torch.tensor([[[1., 0, 0], [0, 1, 0], [1, 0, 0]]])
    views.requires_grad_()
    labels = torch.tensor([0, 1, 0])
    loss(views, labels, torch.arange(3))
    out = loss(views, labels, torch.arange(3))
    out['loss_prototypes'].backward()
    assert views.grad.isfinite().all() and views.grad.abs().sum() > 0
    assert out['prototype_accuracy'] == pytest.approx(200 / 3)


def test_nothing_is_remembered_outside_training():
    loss = PrototypeQueueLoss(2, 4, 8).eval()
    loss(torch.rand(1, 3, 4), torch.tensor([0, 1, 1]), torch.arange(3))
    assert (loss.queue.labels == -1).all()


@pytest.mark.parametrize('setting', [dict(margin=3), dict(spread=-1.0)])
def test_a_margin_that_is_no_cosine_and_a_negative_spread(setting):
    (name, value), = setting.items()
    with pytest.raises(ValueError,
                       match=f'PrototypeQueueLoss: {name}={value}'):
        PrototypeQueueLoss(2, 4, **setting)
