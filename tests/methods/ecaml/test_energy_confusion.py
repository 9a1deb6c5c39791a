"""Energy confusion: the released layer's numbers, draws, invariances."""
import math

import pytest
import torch

from csd_mmpretrain.methods.ecaml.energy_confusion import (
    EnergyConfusionLoss,
    energy_confusion,
    layer_pairs,
    log_energy,
    negative_pairs,
    row_norm_penalty,
)


def tensors(oracle, name):
    return {key: torch.from_numpy(value)
            for key, value in oracle(f'ecaml/{name}').items()}


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-14)


def gradient(z, labels, pairs, weight=0.13):
    z = z.clone().requires_grad_()
    (weight * log_energy(z, labels, pairs)).backward()
    return z.grad


@pytest.mark.parametrize('name', ['energy_confusion',
                                  'energy_confusion_pairs_layout'])
def test_equals_the_released_layer(oracle, name):
    data = tensors(oracle, name)
    images = data['embedding'], data['labels'], data['pairs']
    close(energy_confusion(*images), data['energy'])
    close(log_energy(*images), data['log_energy'])
    close(gradient(*images, data['loss_weight']), data['grad'])


def test_no_pair_is_no_loss(oracle):
    data = tensors(oracle, 'energy_confusion_no_pair')
    z, labels = data['embedding'], data['labels']
    none = torch.zeros(0, 2, dtype=torch.int64)
    one_class = negative_pairs(torch.zeros(6, dtype=torch.int64))
    for pairs in (none, one_class):
        close(log_energy(z, labels, pairs), data['right_loss'])
        close(gradient(z, labels, pairs), data['right_grad'])
    with pytest.raises(ValueError, match='no pair in a batch of 6 images; it '
                       'needs more than 6'):
        layer_pairs(labels, int(data['random_num']))


def test_shared_layer(oracle):
    data = tensors(oracle, 'shared_layer')
    x = data['features'].requires_grad_()
    fc = torch.nn.Linear(5, 4, dtype=torch.float64)
    fc.weight.data, fc.bias.data = data['weight'], data['bias']
    z = fc(x.detach())
    close(energy_confusion(z, data['labels'], data['pairs']), data['energy'])
    loss = data['loss_weight'] * log_energy(
        z, data['labels'], data['pairs'])
    loss.backward()
    close(fc.weight.grad, data['grad_weight'])
    assert fc.bias.grad.abs().max() < 1e-14 and x.grad is None
    fc.weight.grad = None
    loss = data['row_norm_lambda'] * row_norm_penalty(fc.weight)
    close(loss.detach(), data['row_norm_loss'])
    loss.backward()
    close(fc.weight.grad, data['row_norm_grad_weight'])


def batch(n=12, classes=4):
    return (torch.randn(n, 5, dtype=torch.float64),
            torch.arange(n) % classes)


def test_scale_counts_as_a_logarithm():
    z, labels = batch()
    pairs = negative_pairs(labels)
    for factor in (1e-3, 0.5, 7.):
        close(log_energy(factor * z, labels, pairs) -
              log_energy(z, labels, pairs),
              torch.tensor(2 * math.log(factor), dtype=torch.float64))


def test_equal_embeddings_are_finite():
    for z in (torch.ones(6, 3), torch.zeros(6, 3)):
        grad = gradient(z, torch.arange(6) % 2, negative_pairs(
            torch.arange(6) % 2))
        assert torch.equal(grad, torch.zeros(6, 3))


@pytest.mark.parametrize('random_num', [None, 1, 3, 50])
def test_negative_pairs_are_of_different_classes(random_num):
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 3])
    pairs = negative_pairs(labels, random_num)
    real = pairs[pairs[:, 0] != pairs[:, 1]]
    assert (labels[real[:, 0]] != labels[real[:, 1]]).all()
    assert len(real.unique(dim=0)) == len(real)
    others = (labels[:, None] != labels).sum(1)
    if random_num is None:
        assert len(real) == others.sum() / 2
        assert (real[:, 0] < real[:, 1]).all()
    else:
        assert torch.equal(real[:, 0].bincount(minlength=7),
                           others.clamp(max=random_num))


@pytest.mark.parametrize('n, random_num', [(5, 2), (9, 2), (21, 10)])
def test_layer_pairs_follow_the_order(n, random_num):
    pairs = layer_pairs(torch.zeros(n), random_num)
    assert torch.equal(pairs[:, 0].unique(return_counts=True)[1],
                       torch.full((n - 2 * random_num, ), random_num))
    assert (pairs[:, 1] >= pairs[:, 0] + 2).all()
    assert len(pairs.unique(dim=0)) == len(pairs)
    every = {tuple(pair) for pair in layer_pairs(torch.zeros(n)).tolist()}
    assert every == {(i, j) for i in range(n) for j in range(i + 2, n)}


def test_all_pairs_are_the_mean_of_many_draws():
    z, labels = batch()
    whole = energy_confusion(z, labels, negative_pairs(labels))
    draws = [energy_confusion(z, labels, negative_pairs(labels, 3))
             for _ in range(2000)]
    # Of 12 images with 3 partners each, 36 pairs instead of 54.
    mean = torch.stack(draws).mean() * 54 / 36
    assert mean == pytest.approx(whole.item(), rel=0.01)


def test_the_order_of_the_batch_does_not_count():
    z, labels = batch()
    order = torch.randperm(12)
    pairs, permuted = negative_pairs(labels), negative_pairs(labels[order])
    close(log_energy(z[order], labels[order], permuted),
          log_energy(z, labels, pairs))
    close(gradient(z[order], labels[order], permuted),
          gradient(z, labels, pairs)[order])


def test_row_norm_is_still_at_unit_rows():
    weight = torch.eye(3, 5).requires_grad_()
    loss = row_norm_penalty(weight)
    loss.backward()
    assert loss == 0 and not weight.grad.any()


def test_weights_switch_terms_off():
    z, labels = torch.randn(12, 5), torch.arange(12) % 4
    weight = torch.randn(5, 7)
    for gamma, row, keys in (
            (0.13, 0.5, {'loss_ec', 'energy', 'loss_row_norm'}),
            (0., 0.5, {'loss_row_norm'}), (1., 0., {'loss_ec', 'energy'})):
        loss = EnergyConfusionLoss(gamma, random_num=None,
                                   row_norm_weight=row)
        found = loss(z, labels, weight)
        assert set(found) == keys
        if gamma:
            energy = log_energy(z, labels, negative_pairs(labels))
            assert torch.equal(found['loss_ec'], gamma * energy)
            assert torch.equal(found['energy'], energy)
        if row:
            assert found['loss_row_norm'] == row * row_norm_penalty(weight)
    assert '10 layer_pairs per image' in EnergyConfusionLoss(
        pairs='layer').extra_repr()


def test_errors():
    for options, error in (
            (dict(random_num=0), 'random_num=0 partners'),
            (dict(pairs='all'), "pairs='all', expected 'negative' or")):
        with pytest.raises(ValueError, match=error):
            EnergyConfusionLoss(**options)
    loss = EnergyConfusionLoss(pairs='layer')
    with pytest.raises(ValueError, match='batch of 20 images; it needs more '
                       'than 20'):
        loss(torch.randn(20, 4), torch.arange(20) % 5, torch.randn(4, 4))
