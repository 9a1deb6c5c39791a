"""Confusion counts, pairs and order."""
import numpy as np
import pytest
from mmpretrain.evaluation import ConfusionMatrix

from csd_mmpretrain.evaluation.confusion_pairs import (
    ConfusedPair,
    confusion_order,
    worst_pairs,
)


@pytest.mark.parametrize('num', [1, 5, 10000])
def test_worst_pairs_equal_a_slow_sort(num):
    k = 23
    labels, predicted = np.random.randint(k, size=(2, 900))
    counts = ConfusionMatrix.calculate(predicted, labels, k).numpy()
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
