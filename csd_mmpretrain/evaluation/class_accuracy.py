"""Accuracy of each class, with the interval that its images allow."""
from statistics import NormalDist
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np


class ClassAccuracy(NamedTuple):
    """Accuracy of one class.

    Attributes:
        name (str): The class.
        correct (int): Images that are predicted right.
        total (int): Images of the class.
        accuracy (float): Their ratio; nan without images.
        low (float): Lower end of the interval.
        high (float): Upper end of the interval.
    """

    name: str
    correct: int
    total: int
    accuracy: float
    low: float
    high: float


def wilson_interval(correct: np.ndarray,
                    total: np.ndarray,
                    confidence: float = 0.95
                    ) -> Tuple[np.ndarray, np.ndarray]:
    """Give Wilson's score interval of proportions.

    Unlike the normal interval it stays within [0, 1], and is not of no width
    where all or none are correct, as is usual with five images of a class.

    Args:
        correct (ndarray): (K, ), int, successes.
        total (ndarray): (K, ), int, trials.
        confidence (float): Of the interval. Defaults to 0.95.

    Returns:
        tuple[ndarray, ndarray]: (K, ) each, float64: lower and upper ends;
        0 and 1 where there was no trial.

    Raises:
        ValueError: If ``confidence`` is not between 0 and 1.

    Source:
        Wilson, Probable inference, the law of succession, and statistical
        inference, 1927.

    Example:
        >>> low, high = wilson_interval(np.array([5]), np.array([5]))
        >>> round(float(low[0]), 3), float(high[0])
        (0.566, 1.0)
    """
    if not 0 < confidence < 1:
        raise ValueError(f'confidence={confidence}, expected a number between '
                         '0 and 1, such as 0.95.')
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    correct, total = np.asarray(correct), np.asarray(total)
    n = np.maximum(total, 1)
    p = correct / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # Rounding must not take the ends across the proportion itself.
    low = np.where(correct == 0, 0., centre - half)
    high = np.where(correct == total, 1., centre + half)
    return low, high


def class_accuracies(counts: np.ndarray,
                     names: Sequence[str],
                     confidence: float = 0.95) -> List[ClassAccuracy]:
    """Compute the accuracy of each class, the worst first.

    Args:
        counts (ndarray): (K, K), int, rows are true, columns predicted
            classes.
        names (Sequence[str]): K names.
        confidence (float): Of the intervals. Defaults to 0.95.

    Returns:
        list[ClassAccuracy]: Ascending; of equal ones, that with the most
        images first. Classes without images come last.
    """
    correct, total = np.diag(counts), counts.sum(1)
    low, high = wilson_interval(correct, total, confidence)
    accuracy = np.where(total > 0, correct / np.maximum(total, 1), np.nan)
    order = np.lexsort((-total, accuracy))
    return [
        ClassAccuracy(names[k], int(correct[k]), int(total[k]),
                      float(accuracy[k]), float(low[k]), float(high[k]))
        for k in order
    ]
