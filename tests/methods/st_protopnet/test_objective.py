"""The terms of the objective against loops and the published numbers."""
import pytest
import torch
from prototype_oracles import tensors
from torch.testing import assert_close

from csd_mmpretrain.methods.st_protopnet.objective import (
    closeness,
    cluster,
    discrimination,
    initial_last_layer,
    off_class_l1,
    orthogonality,
    separation,
)

SIZES = [(2, 1, 1), (3, 2, 5), (7, 3, 4), (5, 5, 16)]


def class_of(j, num_prototypes):
    return j // num_prototypes


@pytest.mark.parametrize('classes, number, channels', SIZES)
@pytest.mark.parametrize('batch', [1, 6])
def test_cluster_and_separation_are_those_of_a_loop(classes, number, channels,
                                                    batch):
    activation = torch.randn(batch, classes * number) - 1
    labels = torch.randint(classes, (batch, ))
    own, others = [], []
    for row, label in zip(activation.tolist(), labels.tolist()):
        own.append(max(a for j, a in enumerate(row)
                       if class_of(j, number) == label))
        others.append(max(a for j, a in enumerate(row)
                          if class_of(j, number) != label))
    assert_close(cluster(activation, labels, classes).item(),
                 sum(own) / batch, rtol=1e-5, atol=1e-6)
    assert_close(separation(activation, labels, classes).item(),
                 sum(others) / batch, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('classes, number, channels', SIZES)
def test_terms_of_prototypes_are_those_of_a_loop(classes, number, channels):
    p = torch.nn.functional.normalize(
        torch.randn(classes * number, channels, dtype=torch.float64))
    products = (p @ p.T).tolist()
    blocks = [range(c * number, (c + 1) * number) for c in range(classes)]
    within = sum(abs(products[i][j]) for block in blocks
                 for i in block for j in block if i != j)
    pairs = [[products[i][j] for i in blocks[c] for j in blocks[d]]
             for c in range(classes) for d in range(classes) if c != d]
    largest = sum(map(max, pairs)) / len(pairs)
    smallest = sum(map(min, pairs)) / len(pairs)
    assert_close(orthogonality(p, classes).item(), float(within))
    assert_close(discrimination(p, classes).item(), largest)
    assert_close(closeness(p, classes).item(), -smallest)


def test_the_last_layer_starts_as_published(oracle):
    numbers = tensors(oracle('st_protopnet/init_last_layer'))
    size, classes = numbers['prototype_class_identity'].shape
    found = initial_last_layer(classes, size // classes)
    for name in ('trivial', 'support'):
        assert torch.equal(found, numbers[f'{name}_last_layer'])


def test_l1_leaves_out_the_own_class():
    assert off_class_l1(initial_last_layer(4, 3), 4) == .5 * 4 * 9


def test_known_values():
    """A prototype shared by all classes, one of each; and all equal."""
    shared = torch.tensor([[0., 1.], [0., 1.]])
    assert discrimination(shared, 2) == 1
    assert closeness(torch.ones(6, 1), 3) == -1
    assert orthogonality(torch.eye(6), 2) == 0


def test_length_one_has_no_noisy_slope():
    p = torch.nn.functional.normalize(torch.randn(6, 4)).requires_grad_()
    orthogonality(p, 6).backward()  # one of each class: the diagonal alone
    assert torch.equal(p.grad, torch.zeros_like(p))


def test_prototypes_must_fill_the_classes():
    for call in (lambda: cluster(torch.ones(1, 7), torch.tensor([0]), 3),
                 lambda: orthogonality(torch.ones(7, 2), 3),
                 lambda: discrimination(torch.ones(7, 2), 3),
                 lambda: off_class_l1(torch.ones(3, 7), 3)):
        with pytest.raises(ValueError, match='7 prototypes of 3 classes'):
            call()
    with pytest.raises(ValueError, match='at least two classes'):
        closeness(torch.ones(2, 2), 1)
