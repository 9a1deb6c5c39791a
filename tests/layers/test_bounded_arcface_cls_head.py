"""BoundedArcFaceClsHead: mmpretrain's ArcFace, finite everywhere."""
import copy

import pytest
import torch
from mmpretrain.models.heads import ArcFaceClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from csd_mmpretrain.layers import BoundedArcFaceClsHead

SETTINGS = dict(num_classes=5, in_channels=7, scale=16., margins=0.2)


def heads(**settings):
    """The stock head and ours, drawn from the same seed."""
    pair = []
    for name in ('ArcFaceClsHead', 'BoundedArcFaceClsHead'):
        torch.manual_seed(1)
        pair.append(MODELS.build(dict(SETTINGS, type=name, **settings)))
    return pair


def samples(labels):
    return [DataSample().set_gt_label(label) for label in labels]


def step(head, features, labels):
    features = features.clone().requires_grad_()
    loss = head.loss((features, ), samples(labels))['loss']
    head.zero_grad()
    loss.backward()
    return [loss.detach(), features.grad, head.norm_product.weight.grad]


@pytest.mark.parametrize('settings', [
    dict(), dict(easy_margin=True), dict(num_subcenters=3),
    dict(margins=[.1, .2, .3, .4, .5]), dict(scale=64., margins=0.5)])
def test_a_training_equals_the_stock_heads_bit_for_bit(settings):
    stock, ours = heads(**settings)
    optimizers = [torch.optim.SGD(head.parameters(), lr=.5)
                  for head in (stock, ours)]
    for batch in (1, 2, 3, 17) * 5:
        features = torch.randn(batch, 7)
        labels = torch.randint(5, (batch, )).tolist()
        for expected, found in zip(step(stock, features, labels),
                                   step(ours, features, labels)):
            assert torch.equal(expected, found)
        for optimizer in optimizers:
            optimizer.step()
    assert torch.equal(stock((features, )), ours((features, )))
    ours.load_state_dict(stock.state_dict())


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('easy_margin', [False, True])
@pytest.mark.parametrize('sign', [1, -1])
def test_finite_where_feature_and_weight_align_or_oppose(
        dtype, easy_margin, sign):
    stock, ours = (head.to(dtype) for head in heads(easy_margin=easy_margin))
    found_nan = False
    for _ in range(20):
        rows = torch.randn(5, 7, dtype=dtype)
        rows[0] = torch.eye(7, dtype=dtype)[0]  # its cosine is 1 exactly
        for head in (stock, ours):
            head.norm_product.weight.data.copy_(rows)
        for labels in (range(5), [4, 3, 2, 1, 0]):  # own and other classes
            features = sign * 3 * rows
            assert all(value.isfinite().all()
                       for value in step(ours, features, labels))
            found_nan |= not all(value.isfinite().all()
                                 for value in step(stock, features, labels))
    assert found_nan


def test_imprinted_weights_train():
    """Each class weight is the mean feature of its one image."""
    head = heads()[1]
    features = torch.randn(5, 7)
    head.norm_product.weight.data.copy_(features)
    before = copy.deepcopy(head.state_dict())
    optimizer = torch.optim.SGD(head.parameters(), lr=.1)
    losses = []
    for _ in range(20):
        losses.append(step(head, features + .3, range(5))[0])
        optimizer.step()
    assert losses[-1] < losses[0]
    assert not torch.equal(before['norm_product.weight'],
                           head.norm_product.weight)


def test_hooks_that_look_for_the_stock_head_find_it():
    assert isinstance(heads()[1], BoundedArcFaceClsHead)
    assert issubclass(BoundedArcFaceClsHead, ArcFaceClsHead)
