"""Sinkhorn against the reference's numbers, its limit, and over ranks."""
import pytest
import torch
from ranks import run_ranks

from csd_mmpretrain.layers.sinkhorn import sinkhorn


def test_equals_the_reference(oracle):
    found = oracle('cr_kd/sinkhorn')
    for case in range(5):
        logits, iters, epsilon, expected, limit = (
            torch.from_numpy(found[f'{name}{case}'])
            for name in ('logits', 'iters', 'epsilon', 'assignment', 'limit'))
        assigned = sinkhorn(logits, float(epsilon), int(iters))
        torch.testing.assert_close(assigned, expected, rtol=1e-9, atol=0)
        assigned = sinkhorn(logits, float(epsilon), 400)
        torch.testing.assert_close(assigned, limit, rtol=1e-9, atol=1e-300)


def test_large_logits_do_not_overflow(oracle):
    found = oracle('cr_kd/sinkhorn_large_logits')
    logits = torch.from_numpy(found['logits'])
    right = torch.from_numpy(found['right'])
    options = float(found['epsilon']), int(found['iters'])
    torch.testing.assert_close(
        sinkhorn(logits.double(), *options), right, rtol=1e-9, atol=1e-300)
    torch.testing.assert_close(
        sinkhorn(logits, *options).double(), right, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize('images, prototypes', [(1, 1), (7, 3), (3, 7)])
def test_sums_and_order(images, prototypes):
    logits = torch.randn(images, prototypes, dtype=torch.float64)
    assigned = sinkhorn(logits, 0.2, 2000)
    torch.testing.assert_close(assigned.sum(1), logits.new_ones(images))
    torch.testing.assert_close(
        assigned.sum(0), logits.new_full((prototypes, ), images / prototypes))
    rows, columns = torch.randperm(images), torch.randperm(prototypes)
    torch.testing.assert_close(
        sinkhorn(logits[rows][:, columns]), sinkhorn(logits)[rows][:, columns])


def test_leading_axes_are_apart():
    logits = torch.randn(2, 3, 5, 4)
    assert torch.equal(
        sinkhorn(logits),
        torch.stack([torch.stack([sinkhorn(x) for x in row])
                     for row in logits]))


PARTS = [(4, 5), (8, 1), (9, 0)]


def all_logits():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(
        len(PARTS), 9, 4, dtype=torch.float64, generator=generator)


def on_rank(rank):
    return [sinkhorn(x.split(sizes)[rank])
            for x, sizes in zip(all_logits(), PARTS)]


def test_two_ranks_equal_one(tmp_path):
    """Ranks with another number of images, and with none."""
    for x, *found in zip(all_logits(), *run_ranks(on_rank, tmp_path)):
        torch.testing.assert_close(torch.cat(found), sinkhorn(x))


def test_errors():
    for options in (dict(epsilon=0), dict(epsilon=-1), dict(iterations=0)):
        with pytest.raises(ValueError, match='expected an epsilon of more'):
            sinkhorn(torch.eye(2), **options)
