"""Mean, deviation and paired differences, for all tables of trainings."""
from statistics import mean, stdev
from typing import Dict, Hashable, List, NamedTuple, Optional, Sequence


class Summary(NamedTuple):
    """Scores of a method and their differences to the baseline.

    Attributes:
        scores (list[float]): One per training.
        differences (list[float], optional): One per pair of trainings with
            the same seed and images; None for the baseline itself.
    """

    scores: List[float]
    differences: Optional[List[float]] = None

    @property
    def mean(self) -> float:
        """Mean of the scores."""
        return mean(self.scores)

    @property
    def deviation(self) -> Optional[float]:
        """Standard deviation of the scores; None of one."""
        return stdev(self.scores) if len(self.scores) > 1 else None

    @property
    def text(self) -> str:
        """Such as ``'71.00 ± 1.41'``; of one score that alone."""
        if self.deviation is None:
            return f'{self.mean:.2f}'
        return f'{self.mean:.2f} ± {self.deviation:.2f}'

    @property
    def interval_text(self) -> str:
        """Such as ``'+2.00 (+1.50 to +2.50)'``, for two pairs or more."""
        middle, half = mean(self.differences), half_interval(self.differences)
        return f'{middle:+.2f} ({middle - half:+.2f} to {middle + half:+.2f})'


def summarize(scores: Dict[str, Dict[Hashable, float]],
              baseline: str) -> Dict[str, Summary]:
    """Pair the scores of each method with those of the baseline.

    Args:
        scores (dict[str, dict[Hashable, float]]): By method, then by what
            pairs trainings, such as seed and split.
        baseline (str): One of the methods.

    Returns:
        dict[str, Summary]: By method, without those that have no score.

    Example:
        >>> summarize(dict(a={1: 70.}, b={1: 72., 2: 9.}), 'a')['b']
        Summary(scores=[72.0, 9.0], differences=[2.0])
    """
    base = scores[baseline]
    return {
        name: Summary(
            list(own.values()), None if name == baseline else
            [score - base[key] for key, score in own.items() if key in base])
        for name, own in scores.items() if own
    }


def half_interval(differences: Sequence[float]) -> float:
    """Compute half the width of the 95 % interval of a mean (Student's t).

    Between splits of cross-validation, which share training images, the
    interval is somewhat too narrow. Raises ImportError without scipy.

    Example:
        >>> half_interval([2., 2., 2.])
        0.0
    """
    try:
        from scipy.stats import t
    except ImportError as error:
        raise ImportError('Intervals need scipy: '
                          'pip install "csd_mmpretrain[bench]".') from error
    n = len(differences)
    return float(t.ppf(0.975, n - 1)) * stdev(differences) / n**0.5
