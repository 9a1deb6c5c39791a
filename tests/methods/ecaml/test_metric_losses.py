"""The metric losses of the released example: its numbers, and loops."""
import pytest
import torch
from mmpretrain.registry import MODELS

from csd_mmpretrain.methods.ecaml.metric_losses import (
    binomial_deviance,
    coupled_npair,
    ranked_triplets,
)

FUNCTIONS = dict(BinomialDevianceLoss=binomial_deviance,
                 CoupledNPairLoss=coupled_npair,
                 RankedTripletLoss=ranked_triplets)


def check(oracle, name, function, *options):
    data = {key: torch.from_numpy(value)
            for key, value in oracle(f'ecaml/{name}').items()}
    z = data['embedding'].requires_grad_()
    loss = function(z, data['labels'],
                    **{key: data[key].item() for key in options})
    loss.backward()
    torch.testing.assert_close(loss.detach(), data['loss'], rtol=1e-9, atol=0)
    torch.testing.assert_close(z.grad, data['grad'], rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize('name', ['binomial_deviance',
                                  'binomial_deviance_one_class'])
def test_binomial_deviance_equals_the_reference(oracle, name):
    check(oracle, name, binomial_deviance, 'alpha', 'beta', 'cost_positive',
          'cost_negative')


def test_npair_equals_the_reference(oracle):
    check(oracle, 'npair', coupled_npair, 'scale', 'coeff')


def test_triplets_equal_the_reference(oracle):
    check(oracle, 'ranked_triplets', ranked_triplets, 'margin', 'neg_num')


@pytest.mark.parametrize('labels', [
    [0, 0, 1, 1], [0, 1, 2, 0, 1, 2, 0, 1, 2], [3, 0, 3, 0, 3, 1, 1]])
def test_equal_a_loop(labels):
    z = torch.randn(len(labels), 6, dtype=torch.float64)
    s = torch.nn.functional.normalize(z, dim=1)
    s = (s @ s.T).tolist()
    places = range(len(labels))
    positive, negative, npair, triplets = [], [], [], 0.
    for i in places:
        for j in places:
            same = labels[i] == labels[j]
            if i < j:
                x = torch.tensor(2 * (s[i][j] - 0.5))
                (positive if same else negative).append(
                    (1 + (-x if same else 25 * x).exp()).log().item())
            others = [n for n in places if labels[n] != labels[j]]
            if same and i != j:
                logits = torch.tensor(
                    [100 * s[i][j], *(100 * s[n][j] for n in others)],
                    dtype=torch.float64)
                npair.append(-logits.log_softmax(0)[0].item())
            if same and i < j:
                for n in others:
                    if s[i][n] > s[i][j] - 0.3:
                        triplets += max(0, 0.3 + s[i][n] - s[i][j])
                        triplets += max(0, 0.3 + s[j][n] - s[i][j])
    labels = torch.tensor(labels)
    mean = sum(positive) / len(positive) + sum(negative) / len(negative)
    assert binomial_deviance(z, labels) == pytest.approx(mean, rel=1e-5)
    assert coupled_npair(z, labels, 10., 0.) == pytest.approx(
        sum(npair) / len(npair))
    assert ranked_triplets(z, labels, 0.3, 8) == pytest.approx(
        triplets / 8 / len(labels))


def test_half_of_the_triplets_are_of_the_nearest_negatives():
    """One pair, and 50 negatives at known cosines to it, 40 of them hard."""
    cosines = torch.linspace(0.99, 0.01, 50, dtype=torch.float64)
    z = torch.stack([cosines, (1 - cosines.square()).sqrt()], 1)
    pair = torch.tensor([[1., 0.], [cosines[39], -z[39, 1]]])
    z = torch.cat([pair.to(z), z]).requires_grad_()
    labels = torch.cat([torch.zeros(2), torch.arange(1, 51)]).long()
    drawn = torch.zeros(400, 50)
    for row in drawn:
        z.grad = None
        ranked_triplets(z, labels, 0.001, 10).backward()
        row.copy_(z.grad[2:].any(1))
    assert (drawn.sum(1) == 10).all()
    assert not drawn[:, 40:].any()
    share = drawn.mean(0)
    # 5 of 10 nearest, then 5 of the 35 that are left.
    assert share[:10].numpy() == pytest.approx(0.5 + 0.5 / 7, abs=0.1)
    assert share[10:40].numpy() == pytest.approx(1 / 7, abs=0.1)


@pytest.mark.parametrize('name', FUNCTIONS)
def test_the_slot(name):
    """Views are one batch, lengths do not count, half precision is none."""
    loss = MODELS.build(dict(type=name, loss_weight=2.))
    views, labels = torch.randn(2, 6, 4), torch.arange(6) // 2
    expected = FUNCTIONS[name](views.flatten(0, 1), labels.repeat(2))
    assert loss(views, labels)['loss_metric'] == 2 * expected
    assert loss(3 * views, labels)['loss_metric'] == pytest.approx(
        2 * expected.item(), rel=1e-5)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert loss(views, labels)['loss_metric'] == 2 * expected
    assert all(key in loss.extra_repr() for key in loss.options)
