"""Accuracy per class, and its interval against scipy's."""
import numpy as np
import pytest

from csd_mmpretrain.evaluation.class_accuracy import (
    class_accuracies,
    wilson_interval,
)


@pytest.mark.parametrize('confidence', [0.5, 0.95, 0.999])
def test_interval_is_that_of_scipy(confidence):
    stats = pytest.importorskip('scipy.stats')
    cases = [(k, n) for n in (1, 2, 5, 17, 1000) for k in {0, 1, n // 2, n}]
    low, high = wilson_interval(*np.array(cases).T, confidence)
    for i, (k, n) in enumerate(cases):
        expected = stats.binomtest(k, n).proportion_ci(confidence, 'wilson')
        assert (low[i], high[i]) == pytest.approx(tuple(expected), abs=1e-12)


def test_no_image_tells_nothing():
    low, high = wilson_interval(np.array([0]), np.array([0]))
    assert (low[0], high[0]) == (0, 1)
    with pytest.raises(ValueError, match='confidence=95'):
        wilson_interval(np.array([1]), np.array([1]), 95)


def test_classes_are_sorted_and_empty_ones_are_last():
    counts = np.array([[2, 0, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0],
                       [2, 0, 2, 4]])
    rows = class_accuracies(counts, 'abcd')
    assert [row.name for row in rows] == ['d', 'c', 'a', 'b']
    assert [(r.correct, r.total) for r in rows] == [(4, 8), (1, 2), (2, 2),
                                                    (0, 0)]
    assert np.isnan(rows[-1].accuracy)
    assert all(r.low <= r.accuracy <= r.high for r in rows[:3])
