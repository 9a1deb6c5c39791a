import numpy as np
import pytest
import torch

from csd_mmpretrain.methods.epic.disentanglement_matrix import (
    DisentanglementMatrix,
    invertible_exp,
    orthogonal_cayley,
    orthogonal_exp,
)

CASES = [('orthogonal', 'exp'), ('orthogonal', 'cayley'),
         ('invertible', 'exp')]


def test_the_matrices_of_the_published_code(oracle):
    known = oracle('epic/matrices')
    raw = torch.from_numpy(known['raw'])
    np.testing.assert_allclose(orthogonal_exp(raw), known['orthogonal'],
                               rtol=1e-9)
    for kind in ('orthogonal', 'invertible'):
        matrix = DisentanglementMatrix(len(raw), kind).double()
        with torch.no_grad():
            matrix.raw.copy_(raw)
        for found, name in zip(matrix.both(), (kind, f'{kind}_inverse')):
            np.testing.assert_allclose(found, known[name], rtol=1e-9)
    np.testing.assert_allclose(invertible_exp(raw)[1],
                               known['invertible_inverse'], rtol=1e-9)


def test_cayley_is_orthogonal_and_close_to_the_exponential():
    raw = torch.randn(7, 7, dtype=torch.float64)
    matrix = orthogonal_cayley(raw)
    torch.testing.assert_close(matrix @ matrix.mT,
                               torch.eye(7, dtype=torch.float64))
    errors = [(orthogonal_cayley(size * raw) - orthogonal_exp(size * raw)
               ).abs().max() for size in (1e-2, 1e-3)]
    assert 800 < errors[0] / errors[1] < 1200  # third order


@pytest.mark.parametrize('kind, parametrization', CASES)
def test_it_starts_as_the_identity(kind, parametrization):
    matrix = DisentanglementMatrix(5, kind, parametrization)
    for part in (matrix(), *matrix.both()):
        assert torch.equal(part, torch.eye(5))


@pytest.mark.parametrize('kind, parametrization', CASES)
def test_the_inverse_inverts_after_training(kind, parametrization):
    matrix = DisentanglementMatrix(6, kind, parametrization)
    optimizer = torch.optim.Adam(matrix.parameters(), 1e-2)
    target = torch.randn(6, 6)
    for _ in range(50):
        optimizer.zero_grad()
        (matrix() - target).square().sum().backward()
        optimizer.step()
    found, inverse = matrix.both()
    torch.testing.assert_close(found @ inverse, torch.eye(6), atol=1e-5,
                               rtol=0)
    assert matrix.orthogonal == torch.allclose(found.mT, inverse, atol=1e-5)
    assert not torch.allclose(found, torch.eye(6), atol=1e-2)


@pytest.mark.parametrize('options, message', [
    (dict(dim=0), 'dim=0'), (dict(dim=2, kind='square'), "kind='square'"),
    (dict(dim=2, parametrization='qr'), "parametrization='qr'"),
    (dict(dim=2, kind='invertible', parametrization='cayley'),
     'orthogonal matrices alone'),
])
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DisentanglementMatrix(**options)
