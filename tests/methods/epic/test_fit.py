from itertools import islice
from unittest.mock import patch

import numpy as np
import pytest
import torch

from csd_mmpretrain.methods.epic import fit
from csd_mmpretrain.methods.epic.disentanglement_matrix import (
    DisentanglementMatrix,
)
from csd_mmpretrain.methods.epic.fit import (
    condition_number,
    find_prototypes,
    fit_rounds,
)
from csd_mmpretrain.methods.epic.prototype_schedule import num_prototypes
from csd_mmpretrain.methods.epic.purity import (
    channel_activation,
    mix_channels,
    peak_position,
    purity,
    top_prototypes,
)


def run(maps, matrix, counts, **options):
    """Fit, and give back the last state."""
    *_, state = fit_rounds(maps, maps.float().sum((2, 3)), matrix, counts,
                           **options)
    return state


def plant(mixing, images=64, dim=16):
    """Maps where one channel is active at a place, then mixed."""
    maps = 0.02 * torch.rand(images, dim, 3, 3)
    for image in range(images):
        maps[image, image % dim, image % 3, (image // 3) % 3] += 1
    return mix_channels(maps, mixing)


@pytest.fixture
def rotation():
    return torch.linalg.qr(torch.randn(16, 16)).Q


@pytest.fixture
def planted(rotation):
    return plant(rotation)


def test_the_training_of_the_published_code(oracle):
    known = oracle('epic/training')
    matrix = DisentanglementMatrix(4)
    state = run(torch.from_numpy(known['feature_maps']), matrix,
                known['num_prototypes'].tolist(), epochs=int(known['epochs']),
                lr=float(known['lr']),
                weight_decay=float(known['weight_decay']))
    log = [value for entry in state['curve']
           for value in (entry['before'], *entry['steps'])]
    np.testing.assert_allclose(log, known['log_of_purity'], rtol=1e-5)
    np.testing.assert_allclose(matrix.raw.detach(), known['raw'], atol=1e-6)
    np.testing.assert_allclose(matrix().detach(), known['U'], atol=1e-6)


@pytest.mark.parametrize('kind, parametrization', [
    ('orthogonal', 'exp'), ('orthogonal', 'cayley'), ('invertible', 'exp')])
def test_planted_channels_are_found(rotation, kind, parametrization):
    # exp(W) reaches no reflection: an invertible one starts nearer.
    if kind == 'invertible':
        rotation = torch.linalg.matrix_exp(0.4 * (rotation - rotation.mT))
    maps = plant(rotation)
    sums = maps.sum((2, 3))
    matrix = DisentanglementMatrix(16, kind, parametrization)
    before = find_prototypes(maps, sums, matrix, 4).purity.mean()
    state = run(maps, matrix, num_prototypes(8, 4, 8), epochs=60, lr=2e-2)
    after = find_prototypes(maps, sums, matrix, 4).purity.mean()
    assert before < 0.9 and after > 0.95
    found, inverse = matrix.both()
    torch.testing.assert_close(found @ inverse, torch.eye(16), atol=1e-5,
                               rtol=0)
    curve = [entry['before'] for entry in state['curve']]
    assert all(b > a - 1e-4 for a, b in zip(curve, curve[1:]))


@pytest.mark.parametrize('parts', [(64, 4096), (1, 1), (3, 7)])
@pytest.mark.parametrize('kind', ['orthogonal', 'invertible'])
def test_prototypes_and_a_step_equal_the_plain_equations(kind, parts):
    maps = torch.randn(11, 6, 3, 4)
    matrix = DisentanglementMatrix(6, kind)
    torch.nn.init.normal_(matrix.raw, std=0.3)
    with patch.multiple(fit, _MAPS=parts[0], _VECTORS=parts[1]):
        found = find_prototypes(maps, maps.sum((2, 3)), matrix, 3)
        images = top_prototypes(channel_activation(maps, matrix()), 3)
        channels = torch.arange(6).repeat_interleave(3)
        mixed = mix_channels(maps[images.flatten()], matrix())
        expected = purity(mixed, channels)
        assert torch.equal(found.images, images)
        assert torch.equal(found.cells.view(-1, 2),
                           peak_position(mixed, channels))
        torch.testing.assert_close(found.purity.flatten(), expected.detach())

        (-expected.mean()).backward()
        right, matrix.raw.grad = matrix.raw.grad, None
        step = torch.optim.SGD([matrix.raw], 0.)
        mean = fit._step(maps, matrix, step,
                         fit.Pairs(images.flatten(), channels))
    torch.testing.assert_close(mean, expected.mean().detach())
    torch.testing.assert_close(matrix.raw.grad, right, atol=1e-7, rtol=1e-4)


def test_the_identity_leaves_the_plain_channels():
    maps = torch.randn(9, 5, 2, 2)
    found = find_prototypes(maps, maps.sum((2, 3)), DisentanglementMatrix(5),
                            4)
    assert torch.equal(found.images, top_prototypes(maps.sum((2, 3)), 4))


def test_a_stopped_fit_goes_on_bit_for_bit(planted):
    counts = num_prototypes(8, 4, 4)
    sums = planted.sum((2, 3))
    whole = DisentanglementMatrix(16)
    state = run(planted, whole, counts, batch_size=30)
    for done in range(1, 5):
        part = DisentanglementMatrix(16)
        stopped, = islice(fit_rounds(planted, sums, part, counts,
                                     batch_size=30), done - 1, done)
        again = DisentanglementMatrix(16)
        rest = list(fit_rounds(planted, sums, again, counts, batch_size=30,
                               state=stopped))
        assert len(rest) == 4 - done
        assert torch.equal(again.raw, whole.raw)
        assert (rest or [stopped])[-1]['curve'] == state['curve']


def test_the_seed_and_nothing_else_orders_the_pairs(planted):
    raws = []
    for seed in (0, 0, 1):
        torch.rand(3)
        matrix = DisentanglementMatrix(16)
        run(planted, matrix, [6], batch_size=20, seed=seed)
        raws.append(matrix.raw)
    assert torch.equal(raws[0], raws[1])
    assert not torch.equal(raws[0], raws[2])


def test_half_precision_changes_little(planted):
    matrices = []
    for maps in (planted, planted.half()):
        matrices.append(DisentanglementMatrix(16))
        run(maps, matrices[-1], [6, 4])
    torch.testing.assert_close(*(m() for m in matrices), atol=2e-3, rtol=0)


@pytest.mark.parametrize('options, message', [
    (dict(counts=[]), 'rounds=0'), (dict(epochs=0), 'epochs=0'),
    (dict(batch_size=0), 'batch_size=0'),
    (dict(counts=[5, 0]), '0 prototypes'),
    (dict(counts=[9]), '9 prototypes .* 8 training images'),
    (dict(dim=5), 'for 5 channels.*maps have 4'),
])
def test_impossible_fits_are_refused_before_the_first_step(options, message):
    options = dict(dict(counts=[3], dim=4), **options)
    matrix = DisentanglementMatrix(options.pop('dim'))
    with pytest.raises(ValueError, match=message):
        run(torch.rand(8, 4, 2, 2), matrix, **options)
    assert not matrix.raw.any()


def test_a_singular_matrix_is_refused_and_its_condition_told():
    matrix = DisentanglementMatrix(3, 'invertible')
    with torch.no_grad():
        matrix.raw.copy_(torch.diag(torch.tensor([5., 0, -5])))
    assert condition_number(matrix) == pytest.approx(np.exp(10), rel=1e-3)
    with torch.no_grad():
        matrix.raw *= 4
    with pytest.raises(ValueError, match='condition number is 2.4e.17'):
        condition_number(matrix)
    orthogonal = DisentanglementMatrix(3)
    with torch.no_grad():
        orthogonal.raw[0, 1] = float('nan')
    with pytest.raises(ValueError, match='condition number is nan'):
        condition_number(orthogonal)
