"""Accuracy per class, and its interval against Wilson's formula."""
import runpy

import numpy as np
import pytest
from mmpretrain.utils import dependency

from csd_mmpretrain.evaluation import (
    calibration,
    class_accuracy,
    confusion_pairs,
)
from csd_mmpretrain.evaluation.class_accuracy import class_accuracies

pytest.importorskip('scipy')


@pytest.mark.parametrize('n', [1, 2, 5, 17, 1000])
def test_interval_is_that_of_wilson(n):
    """Source: Wilson, 1927; z of a 95 % interval."""
    z = 1.959963984540054
    for k in {0, 1, n // 2, n}:
        row = class_accuracies(np.array([[k, n - k], [0, 0]]), 'ab')[0]
        p = k / n
        center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(
            p * (1 - p) / n + z**2 / (4 * n**2))
        assert (row.low, row.high) == pytest.approx(
            (center - half, center + half), abs=1e-12)
        assert 0 <= row.low <= row.accuracy <= row.high <= 1


def test_classes_are_sorted_and_empty_ones_are_last():
    counts = np.array([[2, 0, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0],
                       [2, 0, 2, 4]])
    rows = class_accuracies(counts, 'abcd')
    assert [row.name for row in rows] == ['d', 'c', 'a', 'b']
    assert [(r.correct, r.total) for r in rows] == [(4, 8), (1, 2), (2, 2),
                                                    (0, 0)]
    assert np.isnan(rows[-1].accuracy)
    # No image tells nothing.
    assert rows[-1][-2:] == (0, 1)


@pytest.mark.parametrize('module, function', [
    (class_accuracy, 'class_accuracies'), (calibration, 'fit_temperature'),
    (confusion_pairs, 'confusion_order')])
def test_without_scipy_its_extra_is_named(monkeypatch, module, function):
    monkeypatch.setattr(dependency, 'satisfy_requirement', lambda _: False)
    fresh = runpy.run_path(module.__file__)
    with pytest.raises(ImportError, match=r'csd_mmpretrain\[bench\]'):
        fresh[function](np.eye(3), 'abc')
