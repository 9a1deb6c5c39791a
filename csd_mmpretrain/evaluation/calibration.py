"""Calibration of probabilities: ECE, NLL, Brier score, temperature."""
from typing import NamedTuple, Tuple

import numpy as np
from mmpretrain.utils import require

TINY = float(np.finfo(np.float32).tiny)


class Calibration(NamedTuple):
    """Measures of the probabilities of a model.

    Attributes:
        accuracy (float): Fraction of correct predictions.
        confidence (float): Mean of the highest probabilities.
        ece (float): Expected calibration error, bins of equal width.
        adaptive_ece (float): The same, bins of equally many images.
        nll (float): Mean negative log-likelihood, in nats.
        brier (float): Mean squared distance to the one-hot label.
        bins (tuple[ndarray, ...]): Those of ``ece``: (B + 1,) ascending
            edges, where a bin has its upper one; (B,) counts; (B,) mean
            confidence and (B,) accuracy, nan in an empty bin.
    """

    accuracy: float
    confidence: float
    ece: float
    adaptive_ece: float
    nll: float
    brier: float
    bins: Tuple[np.ndarray, ...]


def calibration(scores: np.ndarray,
                labels: np.ndarray,
                num_bins: int = 15) -> Calibration:
    """Measure the calibration of probabilities.

    Args:
        scores (ndarray): (N, K), floating, probabilities.
        labels (ndarray): (N,), int, the true classes.
        num_bins (int): Bins of both calibration errors. Defaults to 15.

    Returns:
        Calibration: All measures.

    Raises:
        ValueError: If a row of ``scores`` is not a distribution, or a label
            none of its classes.

    Source:
        ECE of the top label: Guo et al., On calibration of modern neural
        networks, 2017. Bins of equal mass: Nguyen and O'Connor, Posterior
        calibration and exploratory analysis for NLP, 2015. Brier, 1950.

    Example:
        >>> found = calibration(np.array([[0.8, 0.2], [0.4, 0.6]]),
        ...                     np.array([0, 0]))
        >>> round(found.ece, 3)
        0.4
    """
    scores = _checked(scores, labels)
    top = scores.max(1)
    correct = scores.argmax(1) == labels
    own = scores[np.arange(len(labels)), labels]
    bins = _bins(top, correct, num_bins)
    return Calibration(
        float(correct.mean()), float(top.mean()), _error(bins),
        _error(_bins(top, correct, num_bins, adaptive=True)),
        float(-np.log(np.maximum(own, TINY)).mean()),
        float(((scores**2).sum(1) - 2 * own + 1).mean()), bins)


def _checked(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if (np.shape(labels) != scores.shape[:1]
            or not np.isin(labels, np.arange(scores.shape[1])).all()):
        raise ValueError(
            f'labels: one of 0 to {scores.shape[1] - 1} is expected for each '
            f'of the {len(scores)} rows of scores, not {np.unique(labels)}.')
    sums = scores.sum(1)
    wrong = ~((scores >= 0).all(1) & (abs(sums - 1) < 1e-3))
    if wrong.any():
        row = wrong.argmax()
        raise ValueError(
            f'scores: row {row} is not a distribution (its sum is '
            f'{sums[row]:.4g}, its minimum {scores[row].min():.4g}). '
            'Probabilities are expected, such as the `pred_score` of a '
            'single-label head.')
    return scores


def _bins(confidence: np.ndarray,
          correct: np.ndarray,
          num: int,
          adaptive: bool = False) -> Tuple[np.ndarray, ...]:
    """Bins of equal width, or of equally many images (ties share a bin)."""
    edges = np.linspace(0, 1, num + 1)
    if adaptive:
        upper = np.quantile(confidence, edges[1:], method='inverted_cdf')
        edges = np.unique([0., *np.maximum(upper, TINY)])
    place = np.searchsorted(edges[1:-1], confidence)
    counts, *sums = (
        np.bincount(place, values, len(edges) - 1)
        for values in (None, confidence, correct))
    with np.errstate(invalid='ignore'):
        return (edges, counts, *(each / counts for each in sums))


def _error(bins: Tuple[np.ndarray, ...]) -> float:
    _, counts, confidence, accuracy = bins
    gaps = counts * abs(accuracy - confidence)
    return float(np.nansum(gaps) / counts.sum())


def scale_temperature(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits behind probabilities by a temperature.

    Args:
        scores (ndarray): (N, K), probabilities; their logarithms are logits.
        temperature (float): Positive; above 1 makes them softer.

    Returns:
        ndarray: (N, K), float64, probabilities in the same order.
    """
    powers = np.exp(_logits(scores) / temperature)
    return powers / powers.sum(1, keepdims=True)


def _logits(scores: np.ndarray) -> np.ndarray:
    logits = np.log(np.maximum(np.asarray(scores, np.float64), TINY))
    return logits - logits.max(1, keepdims=True)


@require('scipy', 'pip install "csd_mmpretrain[bench]"')
def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature with the lowest NLL.

    Args:
        scores (ndarray): (N, K), probabilities of images that are neither
            trained on nor tested on.
        labels (ndarray): (N,), int, their classes.

    Returns:
        float: Between 0.01 and 100.

    Raises:
        ValueError: If the best temperature lies outside, as where every
            image is predicted correctly.
        ImportError: If scipy is missing.

    Source:
        Guo et al., On calibration of modern neural networks, 2017.
    """
    from scipy.optimize import brentq

    logits = _logits(_checked(scores, labels))
    own = logits[np.arange(len(labels)), labels]

    def slope(inverse: float) -> float:
        """Derivative of the NLL, which is convex in 1 / temperature."""
        mean = (scale_temperature(scores, 1 / inverse) * logits).sum(1)
        return float((mean - own).mean())

    if not slope(0.01) < 0 < slope(100):
        raise ValueError(
            'No temperature between 0.01 and 100 has the lowest NLL on these '
            f'{len(labels)} images: all are predicted correctly, or as by '
            'chance. Fit on more images that were not trained on.')
    return 1 / brentq(slope, 0.01, 100)
