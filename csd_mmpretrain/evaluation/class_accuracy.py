"""Accuracy of each class with its confidence interval."""
from typing import List, NamedTuple, Sequence

import numpy as np
from mmpretrain.utils import require


class ClassAccuracy(NamedTuple):
    """Accuracy of one class, between the ends of its interval.

    Of a class without images it is nan, the ends are 0 and 1.
    """

    name: str
    correct: int
    total: int
    accuracy: float
    low: float
    high: float


@require('scipy', 'pip install "csd_mmpretrain[bench]"')
def class_accuracies(counts: np.ndarray,
                     names: Sequence[str]) -> List[ClassAccuracy]:
    """Compute the accuracy of each class with Wilson's 95 % interval.

    Unlike the normal interval, Wilson's stays within [0, 1] and keeps its
    width where all or no images are correct.

    Args:
        counts (ndarray): (K, K), int, rows are true classes.
        names (Sequence[str]): K names.

    Returns:
        list[ClassAccuracy]: The worst first; of equal ones, that with the
        most images. Classes without images come last.

    Raises:
        ImportError: If scipy is missing.

    Source:
        Wilson, Probable inference, the law of succession, and statistical
        inference, 1927 (scipy's ``proportion_ci``).
    """
    from scipy.stats import binomtest

    rows = []
    for name, correct, total in zip(names, np.diag(counts).tolist(),
                                    counts.sum(1).tolist()):
        parts = (np.nan, 0., 1.)
        if total:
            parts = (correct / total, *binomtest(
                correct, total).proportion_ci(method='wilson'))
        rows.append(ClassAccuracy(name, correct, total, *parts))
    return sorted(rows, key=lambda row: (row.total == 0, row.accuracy,
                                         -row.total))
