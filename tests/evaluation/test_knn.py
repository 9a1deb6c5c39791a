"""Weighted kNN against a loop over queries and neighbors."""
import math

import pytest
import torch

from csd_mmpretrain.evaluation.features import LabelledFeatures
from csd_mmpretrain.evaluation.knn import knn_scores
from csd_mmpretrain.evaluation.similarity import BYTES_PER_PAIR


def reference(queries, query_labels, gallery, gallery_labels, k, temperature):
    right1 = right5 = 0
    for query, label in zip(queries.double(), query_labels.tolist()):
        neighbors = sorted(
            (-float(query @ item / (query.norm() * item.norm())), j)
            for j, item in enumerate(gallery.double()))[:k]
        votes = {}
        for cosine, j in neighbors:
            name = int(gallery_labels[j])
            votes[name] = votes.get(name, 0) + math.exp(-cosine / temperature)
        best = sorted(votes, key=lambda name: -votes[name])
        right1 += label in best[:1]
        right5 += label in best[:5]
    return right1 / len(queries), right5 / len(queries)


@pytest.mark.parametrize('queries, gallery, classes', [
    (1, 1, 1), (13, 29, 7), (31, 15, 40), (5, 60, 9)])
@pytest.mark.parametrize('block', [1, 7, 1000])
@pytest.mark.parametrize('temperature', [0.07, 1.])
def test_equals_a_loop(queries, gallery, classes, block, temperature):
    x, y = torch.randn(queries, 8), torch.randn(gallery, 8)
    x_labels = torch.randint(0, classes, (queries, ))
    y_labels = torch.randint(0, classes, (gallery, ))
    ks = sorted({1, 4, gallery} & set(range(1, gallery + 1)))
    found = knn_scores(
        LabelledFeatures(x, x_labels), LabelledFeatures(y, y_labels), ks,
        temperature, block * BYTES_PER_PAIR * gallery / 2**20)
    assert list(found) == ks
    for k in ks:
        assert found[k] == pytest.approx(
            reference(x, x_labels, y, y_labels, k, temperature))


def test_equal_features_are_worth_nothing():
    same = LabelledFeatures(torch.ones(10, 4), torch.arange(10) % 5)
    assert knn_scores(same, same, [10])[10] == (0, 1)


@pytest.mark.parametrize('channels', [3, 1280])
@pytest.mark.parametrize('block', [1, 7, 1000])
def test_ties_do_not_count_by_position(channels, block):
    """Equal but for their length, and rounding."""
    torch.manual_seed(channels)
    features = torch.rand(channels) * (1 + torch.rand(60, 1))
    same = LabelledFeatures(features, torch.arange(60) % 5)
    scores = knn_scores(same, same, (1, 5, 20, 60),
                        memory=block * BYTES_PER_PAIR * 60 / 2**20)
    assert [found.top1 for found in scores.values()] == [0.] * 4
    most = LabelledFeatures(features, (torch.arange(60) % 5).clamp(max=1))
    assert knn_scores(most, most, (7, ))[7].top1 == .8  # the largest class


def test_places_that_are_left_are_shared():
    gallery = LabelledFeatures(
        torch.tensor([[1., 0], [0, 1], [0, 2], [0, 1]]),
        torch.tensor([0, 1, 1, 2]))
    query = LabelledFeatures(torch.tensor([[0., 3.]]), torch.tensor([1]))
    for k in (1, 2, 3):
        assert knn_scores(query, gallery, (k, ))[k].top1 == 1
    other = LabelledFeatures(query.features, torch.tensor([2]))
    assert knn_scores(other, gallery, (1, ))[1] == (0, 1)


def test_errors():
    x = LabelledFeatures(torch.randn(3, 4), torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match=r'ks=\(2, 20\): .* has 3 images'):
        knn_scores(x, x, (2, 20))
    with pytest.raises(ValueError, match='at least one'):
        knn_scores(x, x, ())
    with pytest.raises(ValueError, match='temperature=0 must'):
        knn_scores(x, x, (2, ), 0)
