"""Tests of MetricLearningLoss: SupCon's equation, and what is refused."""
import math
import sys

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS

pytest.importorskip('pytorch_metric_learning')

from csd_mmpretrain.methods.peers.metric_learning_loss import (
    MetricLearningLoss,
)  # noqa: E402


def supcon(temperature=0.1, **kwargs):
    return MetricLearningLoss(
        dict(type='SupConLoss', temperature=temperature), **kwargs)


def slow_supcon(views, labels, temperature):
    """L_out, Eq. 2 of the paper, as the mean over the 2N anchors."""
    z = F.normalize(views.double(), dim=-1).flatten(0, 1)
    y = labels.tolist() * len(views)
    total = 0.
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        positives = [p for p in others if y[p] == y[i]]
        denominator = sum(
            math.exp(float(z[i] @ z[a]) / temperature) for a in others)
        total += -sum(
            math.log(
                math.exp(float(z[i] @ z[p]) / temperature) / denominator)
            for p in positives) / len(positives)
    return total / len(z)


@pytest.mark.parametrize('batch, classes', [(2, 2), (3, 2), (15, 4), (9, 9)])
@pytest.mark.parametrize('temperature', [0.07, 0.1, 1.])
def test_supcon_equals_the_papers_equation(batch, classes, temperature):
    views = torch.randn(2, batch, 7) * 5
    labels = torch.arange(batch) % classes
    labels = labels[torch.randperm(batch)]
    loss = supcon(temperature, loss_weight=0.5)(views, labels)
    assert list(loss) == ['loss_metric']
    expected = 0.5 * slow_supcon(views, labels, temperature)
    torch.testing.assert_close(
        loss['loss_metric'], torch.tensor(expected).float())


def test_supcon_without_negatives_is_zero_and_has_a_gradient():
    views = torch.randn(2, 3, 7, requires_grad=True)
    loss = supcon()(views, torch.zeros(3, dtype=torch.long))['loss_metric']
    loss.backward()
    assert loss == 0 and not views.grad.any()


def test_both_views_get_a_gradient():
    views = torch.randn(2, 4, 7, requires_grad=True)
    supcon()(views, torch.tensor([0, 1, 1, 2]))['loss_metric'].backward()
    assert (views.grad.abs().sum(-1) > 0).all()


def test_computed_in_float32_under_autocast():
    views = torch.randn(2, 6, 7).bfloat16()
    labels = torch.tensor([0, 1, 1, 2, 0, 3])
    expected = supcon()(views.float(), labels)['loss_metric']
    with torch.autocast('cpu', torch.bfloat16):
        loss = supcon()(views, labels)['loss_metric']
    assert loss.dtype == torch.float32 and loss == expected


def test_loss_with_weights_of_its_own_is_trained():
    loss = MODELS.build(
        dict(
            type='MetricLearningLoss',
            loss=dict(type='ProxyAnchorLoss', num_classes=4,
                      embedding_size=7)))
    assert len(list(loss.parameters())) == 1
    loss(torch.randn(2, 3, 7), torch.tensor([0, 3, 3]))[
        'loss_metric'].backward()
    assert next(loss.parameters()).grad.abs().sum() > 0


@pytest.mark.parametrize('loss, message', [
    (dict(type='SupCon'), "unknown loss type='SupCon'.*SupConLoss"),
    (dict(temperature=0.1), 'unknown loss type=None'),
    (dict(type='CrossBatchMemory'), "type='CrossBatchMemory'"),
    (dict(type='VICRegLoss'), "type='VICRegLoss'"),
    (dict(type='GenericPairLoss'), "type='GenericPairLoss'"),
    (dict(type='SmoothAPLoss'), "unknown loss type='SmoothAPLoss'"),
    (dict(type='SupConLoss', distance=dict(type='CosineSimilarity')),
     'SupConLoss got distance as a dict'),
    (dict(type='SupConLoss', tau=0.1), "'tau'.*temperature=0.1"),
    (dict(type='ProxyAnchorLoss'), 'ProxyAnchorLoss .*num_classes'),
    (dict(type='SubCenterArcFaceLoss'), 'SubCenterArcFaceLoss .*num_classes'),
])
def test_bad_loss_is_one_clear_error(loss, message):
    with pytest.raises(ValueError, match=message):
        MetricLearningLoss(loss)


def test_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pytorch_metric_learning', None)
    with pytest.raises(ImportError, match=r'csd_mmpretrain\[bench\]'):
        supcon()


@pytest.mark.parametrize('version', ['1.7.3', '3.0.0'])
def test_another_major_version_is_refused(monkeypatch, version):
    monkeypatch.setattr('pytorch_metric_learning.__version__', version)
    with pytest.raises(ImportError, match=rf'{version} is .*\[bench\]'):
        supcon()
