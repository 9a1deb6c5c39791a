"""Whether probabilities mean what they say: ECE, NLL, Brier, temperature."""
from typing import NamedTuple

import numpy as np

TEMPERATURES = (0.01, 100.)
TINY = float(np.finfo(np.float32).tiny)


class ReliabilityBins(NamedTuple):
    """Predictions, gathered by their confidence.

    Attributes:
        edges (ndarray): (B + 1, ), ascending; a bin holds its upper edge.
        counts (ndarray): (B, ), int, images of each bin.
        confidence (ndarray): (B, ), mean confidence; nan in an empty bin.
        accuracy (ndarray): (B, ), part that is right; nan in an empty bin.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


class Calibration(NamedTuple):
    """What the probabilities of a model are worth.

    Attributes:
        accuracy (float): Part of the images that are right.
        confidence (float): Mean of the highest probabilities.
        ece (float): Expected calibration error, bins of equal width.
        adaptive_ece (float): The same, bins of equally many images.
        nll (float): Mean negative log-likelihood, in nats.
        brier (float): Mean squared distance to the one-hot label.
        bins (ReliabilityBins): Those of ``ece``.
    """

    accuracy: float
    confidence: float
    ece: float
    adaptive_ece: float
    nll: float
    brier: float
    bins: ReliabilityBins


def calibration(scores: np.ndarray,
                labels: np.ndarray,
                num_bins: int = 15) -> Calibration:
    """Measure the calibration of probabilities.

    Args:
        scores (ndarray): (N, K), floating, probabilities.
        labels (ndarray): (N, ), int, the true classes.
        num_bins (int): Bins of both calibration errors. Defaults to 15.

    Returns:
        Calibration: All measures.

    Raises:
        ValueError: If a row of ``scores`` is no distribution, or the shapes
            do not fit.

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
    scores, labels = _checked(scores, labels)
    top = scores.max(1)
    correct = scores.argmax(1) == labels
    bins = reliability_bins(top, correct, num_bins)
    adaptive = reliability_bins(top, correct, num_bins, adaptive=True)
    own = scores[np.arange(len(labels)), labels]
    return Calibration(
        float(correct.mean()), float(top.mean()), calibration_error(bins),
        calibration_error(adaptive),
        float(-np.log(np.maximum(own, TINY)).mean()),
        float(((scores**2).sum(1) - 2 * own + 1).mean()), bins)


def _checked(scores: np.ndarray, labels: np.ndarray) -> tuple:
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not len(labels):
        raise ValueError(f'scores have the shape {scores.shape} and labels '
                         f'{labels.shape}; expected (N, K) and (N, ), N > 0.')
    sums = scores.sum(1)
    wrong = ~((scores >= 0).all(1) & (abs(sums - 1) < 1e-3))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f'scores: row {row} is no distribution (its sum is '
            f'{sums[row]:.4g}, its least value {scores[row].min():.4g}). '
            'Probabilities are expected, such as the `pred_score` of a '
            'single-label head.')
    return scores, labels


def reliability_bins(confidence: np.ndarray,
                     correct: np.ndarray,
                     num_bins: int = 15,
                     adaptive: bool = False) -> ReliabilityBins:
    """Gather predictions by their confidence.

    Args:
        confidence (ndarray): (N, ), in [0, 1].
        correct (ndarray): (N, ), bool.
        num_bins (int): Number of bins. Defaults to 15.
        adaptive (bool): Bins of equally many images, at the quantiles, in
            place of bins of equal width. Images of equal confidence share a
            bin, so there may be fewer. Defaults to False.

    Returns:
        ReliabilityBins: The bins.

    Raises:
        ValueError: If ``num_bins`` is below 1.
    """
    if num_bins < 1:
        raise ValueError(f'num_bins={num_bins}, expected at least 1.')
    edges = np.linspace(0, 1, num_bins + 1)
    if adaptive:
        upper = np.quantile(confidence, edges[1:], method='inverted_cdf')
        edges = np.unique([0., *np.maximum(upper, TINY)])
    place = np.searchsorted(edges, confidence, side='left') - 1
    place = place.clip(0, len(edges) - 2)
    counts = np.bincount(place, minlength=len(edges) - 1)
    with np.errstate(invalid='ignore'):
        means = [
            np.bincount(place, values, len(edges) - 1) / counts
            for values in (confidence, correct)
        ]
    return ReliabilityBins(edges, counts, *means)


def calibration_error(bins: ReliabilityBins) -> float:
    """Average the gap between confidence and accuracy over the images.

    Args:
        bins (ReliabilityBins): Of :func:`reliability_bins`.

    Returns:
        float: In [0, 1].
    """
    gaps = np.nan_to_num(abs(bins.accuracy - bins.confidence))
    return float((gaps * bins.counts).sum() / bins.counts.sum())


def scale_temperature(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits behind probabilities by a temperature.

    Args:
        scores (ndarray): (N, K), probabilities; their logarithms are logits.
        temperature (float): Above 1 makes them softer.

    Returns:
        ndarray: (N, K), float64, probabilities. Their order is kept.

    Raises:
        ValueError: If ``temperature`` is not positive.
    """
    if not temperature > 0:
        raise ValueError(f'temperature={temperature}, expected above 0.')
    return _softmax(_logits(scores) / temperature)


def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature with the least NLL.

    NLL is convex in the inverse temperature, whose derivative is bracketed
    and halved.

    Args:
        scores (ndarray): (N, K), probabilities of images that are neither
            trained on nor tested on.
        labels (ndarray): (N, ), int, their classes.

    Returns:
        float: Between 0.01 and 100.

    Raises:
        ValueError: If the best temperature lies outside, as where every image
            is predicted right.

    Source:
        Guo et al., On calibration of modern neural networks, 2017.
    """
    logits = _logits(_checked(scores, labels)[0])
    own = logits[np.arange(len(labels)), labels]

    def slope(inverse: float) -> float:
        mean = (_softmax(inverse * logits) * logits).sum(1)
        return float((mean - own).mean())

    low, high = (1 / t for t in reversed(TEMPERATURES))
    if not slope(low) < 0 < slope(high):
        raise ValueError(
            'No temperature between 0.01 and 100 has the least NLL on these '
            f'{len(labels)} images: they are predicted all right, or as by '
            'chance. Fit on more images that were not trained on.')
    while high / low > 1 + 1e-7:
        middle = (low * high)**0.5
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1 / (low * high)**0.5


def _logits(scores: np.ndarray) -> np.ndarray:
    logits = np.log(np.maximum(np.asarray(scores, np.float64), TINY))
    return logits - logits.max(1, keepdims=True)


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)
