"""Cosines with prototypes of any length."""
import pytest
import torch
import torch.nn.functional as F

from csd_mmpretrain.layers.prototypes import UnitPrototypes


@pytest.mark.parametrize('shape', [(5, ), (1, 5), (2, 3, 5), (0, 5)])
@pytest.mark.parametrize('num', [1, 7])
def test_cosines_one_by_one(shape, num):
    prototypes = UnitPrototypes(num, 5)
    assert len(prototypes) == num
    x = 3 * torch.randn(shape)
    found = prototypes(x)
    assert found.shape == (*shape[:-1], num)
    for feature, cosines in zip(x.view(-1, 5), found.view(-1, num)):
        for prototype, cosine in zip(prototypes.weight, cosines):
            torch.testing.assert_close(
                cosine, F.cosine_similarity(feature, prototype, dim=0))


def test_the_length_of_a_prototype_says_nothing():
    prototypes = UnitPrototypes(4, 3)
    x = torch.randn(6, 3)
    before = prototypes(x)
    prototypes.weight.data *= torch.tensor([[0.1], [1.], [5.], [100.]])
    torch.testing.assert_close(prototypes(x), before)
    prototypes(x).sum().backward()
    along = (prototypes.weight.grad * prototypes.weight).sum(1)
    torch.testing.assert_close(along, torch.zeros(4), atol=1e-5, rtol=0)


def test_a_feature_of_zeros_is_like_none():
    x = torch.zeros(1, 3, requires_grad=True)
    found = UnitPrototypes(4, 3)(x)
    found.sum().backward()
    assert (found == 0).all() and x.grad.isfinite().all()
