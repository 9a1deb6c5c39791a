"""The equations of CMD against loops over their indices."""
import math

import pytest
import torch

from csd_mmpretrain.methods.cmd.cross_level import (
    bag_distribution,
    image_distillation,
    inter_level,
    match_tokens,
    output_statistics,
    region_distillation,
)


def distributions(*shape):
    return (3 * torch.randn(*shape, dtype=torch.float64)).softmax(-1)


def cross_entropy(target, log_probabilities):
    return -sum(float(p) * float(q)
                for p, q in zip(target, log_probabilities))


def divergence(p, q):
    return sum(float(a) * (math.log(a) - math.log(b)) for a, b in zip(p, q))


@pytest.mark.parametrize('views, queries', [(2, 2), (10, 2), (3, 1), (4, 3)])
def test_image_distillation(views, queries):
    student = distributions(views, 3, 7).log()
    teacher = distributions(queries, 3, 7)
    terms = [
        cross_entropy(teacher[q, b], student[v, b]) for q in range(queries)
        for v in range(views) if v != q for b in range(3)
    ]
    found = image_distillation(student, teacher)
    assert float(found) == pytest.approx(sum(terms) / len(terms))


def test_image_distillation_is_the_entropy_for_equal_outputs():
    p = distributions(1, 4, 9).expand(3, -1, -1)
    entropy = -(p * p.log()).sum(-1)[0].mean()
    assert torch.allclose(image_distillation(p.log(), p[:2]), entropy)


@pytest.mark.parametrize('images, own, other, channels', [(1, 1, 1, 3),
                                                          (3, 9, 49, 8),
                                                          (2, 5, 1, 2)])
def test_match_tokens(images, own, other, channels):
    student = torch.randn(images, own, channels)
    teacher = torch.randn(images, other, channels)
    found = match_tokens(student, teacher)
    for b in range(images):
        for i in range(own):
            cosines = [
                float(torch.cosine_similarity(student[b, i], x, dim=0))
                for x in teacher[b]
            ]
            assert found[b, i] == max(range(other), key=cosines.__getitem__)


@pytest.mark.parametrize('own, other', [(1, 1), (9, 4), (3, 8)])
def test_region_distillation(own, other):
    student = distributions(2, own, 5).log()
    teacher = distributions(2, other, 5)
    match = torch.randint(other, (2, own))
    terms = [
        cross_entropy(teacher[b, match[b, i]], student[b, i])
        for b in range(2) for i in range(own)
    ]
    found = region_distillation(student, teacher, match)
    assert float(found) == pytest.approx(sum(terms) / len(terms))


@pytest.mark.parametrize('tokens', [1, 2, 9])
def test_bag_and_inter_level(tokens):
    p = distributions(3, 2, tokens, 6)
    weights = distributions(3, 2, tokens)
    image = distributions(3, 2, 6)
    bags = torch.stack([
        sum(a * q for a, q in zip(weights[v, b], p[v, b])) for v in range(3)
        for b in range(2)
    ]).view(3, 2, 6)
    found = bag_distribution(p.log(), weights.log())
    assert torch.allclose(found.exp(), bags)
    terms = [divergence(bags[v, b], image[v, b]) for v in range(3)
             for b in range(2)]
    assert float(inter_level(found, image.log())) == pytest.approx(
        sum(terms) / len(terms))


def test_inter_level_is_zero_where_bag_and_image_are_equal():
    image = (20 * torch.randn(2, 3, 64)).log_softmax(-1)
    tokens = image[..., None, :].expand(-1, -1, 4, -1)
    weights = torch.randn(2, 3, 4).log_softmax(-1)
    assert float(inter_level(bag_distribution(tokens, weights),
                             image)) == pytest.approx(0, abs=1e-5)
    other = image.roll(1, dims=-1)
    assert inter_level(other, image) > 1


def test_bag_of_sharp_tokens_is_finite():
    tokens = torch.tensor([[-1000., 0.], [-2000., 0.]])
    bag = bag_distribution(tokens, torch.tensor([.5, .5]).log())
    assert bag.isfinite().all() and bag.exp().tolist() == [0, 1]


@pytest.mark.parametrize('probabilities, entropy, deviation', [
    (torch.full((8, 5), .2), 1, 0),
    (torch.eye(5)[[2] * 8], 0, 0),
    (torch.eye(5), 0, .8),
])
def test_output_statistics_tell_the_kinds_of_collapse(probabilities, entropy,
                                                      deviation):
    found = output_statistics(probabilities)
    assert [float(x) for x in found] == pytest.approx([entropy, deviation],
                                                      abs=1e-6)
