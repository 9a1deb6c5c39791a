"""Tests of PairMarginLoss against CLE-ViT's double sum."""
import pytest
import torch
import torch.nn.functional as F

from csd_mmpretrain.methods.peers.pair_margin_loss import PairMarginLoss


@pytest.mark.parametrize('batch', [1, 2, 15])
def test_equals_the_double_sum(batch):
    views = torch.randn(2, batch, 6)
    labels = torch.randint(0, 3, (batch, ))
    out = PairMarginLoss(margin=0.1, loss_weight=0.5)(views, labels)
    features = F.normalize(views, dim=-1).flatten(0, 1)
    total = 0.
    for i in range(2 * batch):
        for j in range(2 * batch):
            cos = float(features[i] @ features[j])
            if labels[i % batch] == labels[j % batch]:
                total += 1 - cos
            else:
                total += max(0., cos - 0.1)
    expected = 0.5 * total / (2 * batch)**2
    torch.testing.assert_close(out['loss_pair'], torch.tensor(expected))


def test_both_sides_of_a_pair_get_a_gradient():
    views = torch.randn(2, 2, 6, requires_grad=True)
    PairMarginLoss()(views, torch.tensor([0, 0]))['loss_pair'].backward()
    assert (views.grad.abs().sum(-1) > 0).all()


def test_margin_must_be_a_cosine():
    with pytest.raises(ValueError, match='PairMarginLoss: margin=2'):
        PairMarginLoss(margin=2)
