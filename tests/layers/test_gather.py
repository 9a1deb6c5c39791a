"""A loss over the whole batch: two ranks against one process."""
import pytest
import torch
from ranks import run_ranks

from csd_mmpretrain.layers.gather import whole_batch

SIZES = [(3, 3), (4, 2), (5, 0)]


def order(sizes):
    """One process's place of each image of rank 0, then of rank 1."""
    places = sorted((i, rank) for rank, n in enumerate(sizes)
                    for i in range(n))
    return [[places.index((i, rank)) for i in range(n)]
            for rank, n in enumerate(sizes)]


def compare(x, labels, weight):
    """Some loss of all pairs that depends on the order."""
    z = x @ weight
    z, labels = whole_batch(z, labels)
    steps = torch.arange(1., len(z) + 1, dtype=z.dtype)
    return ((z @ z.T).sin() * (labels[:, None] - labels) * steps).mean()


def on_rank(rank, x, labels, weight):
    found = []
    for sizes in SIZES:
        mine = order(sizes)[rank]
        w = weight.clone().requires_grad_()
        loss = compare(x[mine], labels[mine], w)
        loss.backward()
        torch.distributed.all_reduce(w.grad)
        found.append((loss.detach(), w.grad / 2))
    return found


def test_value_and_mean_gradient_are_those_of_one_process(tmp_path):
    x, weight = (torch.randn(6, 3, dtype=torch.float64),
                 torch.randn(3, 4, dtype=torch.float64))
    labels = torch.arange(6) % 4
    for rank in run_ranks(on_rank, tmp_path, x, labels, weight):
        for sizes, found in zip(SIZES, rank):
            size = sum(sizes)
            w = weight.clone().requires_grad_()
            loss = compare(x[:size], labels[:size], w)
            loss.backward()
            assert found[0] == pytest.approx(loss.item(), rel=1e-12)
            torch.testing.assert_close(found[1], w.grad)
