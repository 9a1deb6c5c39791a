"""Confusion counts, pairs and order."""
import numpy as np
import pytest

from csd_mmpretrain.evaluation.confusion_pairs import (
    ConfusedPair,
    confusion_counts,
    confusion_order,
    confusion_rates,
    worst_pairs,
)


@pytest.mark.parametrize('n, k', [(0, 3), (1, 1), (50, 7), (300, 81)])
def test_counts_equal_a_loop_and_scikit_learn(n, k):
    labels, predicted = np.random.randint(k, size=(2, n))
    counts = confusion_counts(labels, predicted, k)
    slow = np.zeros((k, k), int)
    for a, b in zip(labels, predicted):
        slow[a, b] += 1
    assert (counts == slow).all()
    metrics = pytest.importorskip('sklearn.metrics')
    if n:
        assert (counts == metrics.confusion_matrix(
            labels, predicted, labels=range(k))).all()
        rates = confusion_rates(counts)
        np.testing.assert_allclose(rates.sum(1), counts.sum(1) > 0)


@pytest.mark.parametrize('num', [1, 5, 10000])
def test_worst_pairs_equal_a_slow_sort(num):
    k = 23
    labels, predicted = np.random.randint(k, size=(2, 900))
    counts = confusion_counts(labels, predicted, k)
    slow = [
        ConfusedPair(a, b, counts[a, b], counts[a].sum(), counts[b, a])
        for a in range(k) for b in range(k) if a != b and counts[a, b]
    ]
    slow.sort(key=lambda p: (-p.count, -p.count / p.total, p.true,
                             p.predicted))
    assert worst_pairs(counts, num) == slow[:num]


def test_without_an_error_there_is_no_pair():
    assert worst_pairs(np.eye(4, dtype=int), 3) == []


def test_order_brings_confused_classes_together():
    pytest.importorskip('scipy')
    k = 40
    hidden = np.random.permutation(k)
    counts = 10 * np.eye(k, dtype=int)
    for a, b in zip(hidden[::2], hidden[1::2]):
        counts[a, b] = 5
    order = confusion_order(counts)
    assert sorted(order) == list(range(k))
    place = np.argsort(order)
    assert (abs(place[hidden[::2]] - place[hidden[1::2]]) == 1).all()


@pytest.mark.parametrize('k', [1, 2, 3])
def test_order_of_few_classes(k):
    pytest.importorskip('scipy')
    counts = np.random.randint(3, size=(k, k))
    assert sorted(confusion_order(counts)) == list(range(k))


@pytest.mark.parametrize('labels, predicted, message', [
    ([0, 1], [0], 'must be equal'),
    ([0, 3], [0, 1], 'num_classes=3 needs 0 to 2'),
    ([0, -1], [0, 1], 'from -1'),
])
def test_bad_classes(labels, predicted, message):
    with pytest.raises(ValueError, match=message):
        confusion_counts(labels, predicted, 3)
