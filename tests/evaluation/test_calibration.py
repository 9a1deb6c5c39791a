"""Calibration against slow references and scikit-learn."""
import math

import numpy as np
import pytest

from csd_mmpretrain.evaluation.calibration import (
    _bins,
    _error,
    calibration,
    fit_temperature,
    scale_temperature,
)


def draw(n, k, sharpness=1.):
    """Scores, and labels that are drawn from them before they are sharpened.

    So the temperature that undoes it is the sharpness.
    """
    random = np.random.RandomState(n + k)
    logits = 2 * random.randn(n, k)
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([random.choice(k, p=row) for row in scores])
    return scale_temperature(scores, 1 / sharpness), labels


def slow_error(scores, labels, num_bins):
    """Guo et al., equation 3: bins ((m - 1) / M, m / M]."""
    error = 0.
    for m in range(1, num_bins + 1):
        inside = [i for i, row in enumerate(scores)
                  if (m - 1) / num_bins < max(row) <= m / num_bins]
        if inside:
            right = sum(int(np.argmax(scores[i])) == labels[i]
                        for i in inside) / len(inside)
            sure = sum(max(scores[i]) for i in inside) / len(inside)
            error += len(inside) / len(scores) * abs(right - sure)
    return error


@pytest.mark.parametrize('n, k, num_bins', [(1, 2, 15), (17, 3, 1),
                                            (101, 7, 15), (400, 81, 10)])
def test_measures_equal_slow_ones(n, k, num_bins):
    scores, labels = draw(n, k, 2.)
    found = calibration(scores, labels, num_bins)
    assert found.ece == pytest.approx(slow_error(scores, labels, num_bins))
    assert found.nll == pytest.approx(
        -sum(math.log(row[y]) for row, y in zip(scores, labels)) / n)
    assert found.brier == pytest.approx(
        sum((p - (j == y))**2 for row, y in zip(scores, labels)
            for j, p in enumerate(row)) / n)
    assert found.bins[1].sum() == n


def test_measures_equal_those_of_scikit_learn():
    metrics = pytest.importorskip('sklearn.metrics')
    curve = pytest.importorskip('sklearn.calibration').calibration_curve
    scores, labels = draw(300, 5, 2.)
    found = calibration(scores, labels, 15)
    assert found.nll == pytest.approx(
        metrics.log_loss(labels, scores, labels=range(5)))
    top = scores.max(1)
    correct = scores.argmax(1) == labels
    accuracy, confidence = curve(correct, top, n_bins=15)
    full = found.bins[1] > 0
    np.testing.assert_allclose(found.bins[2][full], confidence)
    np.testing.assert_allclose(found.bins[3][full], accuracy)


@pytest.mark.parametrize('n', [30, 31, 307])
def test_adaptive_bins_hold_equally_many(n):
    confidence = np.random.rand(n)
    correct = np.random.rand(n) < 0.5
    bins = _bins(confidence, correct, 15, adaptive=True)
    counts = bins[1]
    assert counts.max() - counts.min() <= 1
    parts = np.array_split(np.argsort(confidence), 15)
    if n % 15 == 0:
        error = sum(
            len(part) / n * abs(confidence[part].mean() - correct[part].mean())
            for part in parts)
        assert _error(bins) == pytest.approx(error)


def test_equal_confidences_share_a_bin():
    confidence = np.array([0.5] * 20 + [0.9] * 3)
    counts = _bins(confidence, np.arange(23) % 2 == 0, 5, True)[1]
    assert counts.tolist() == [20, 3]
    assert _bins(np.ones(3), np.ones(3), 4, True)[1] == [3]
    assert _bins(np.zeros(3), np.ones(3), 4)[1][0] == 3


@pytest.mark.parametrize('sharpness', [0.5, 1., 3.])
def test_temperature_undoes_a_known_sharpening(sharpness):
    pytest.importorskip('scipy')
    scores, labels = draw(20000, 6, sharpness)
    temperature = fit_temperature(scores, labels)
    assert temperature == pytest.approx(sharpness, rel=0.05)
    best = calibration(scale_temperature(scores, temperature), labels)
    assert best.ece < 0.02
    for other in (0.98, 1.02):
        worse = calibration(
            scale_temperature(scores, other * temperature), labels)
        assert best.nll < worse.nll


def test_temperature_keeps_the_order_even_of_scores_of_zero():
    scores = np.array([[1., 0., 0.], [0.2, 0.5, 0.3]], np.float32)
    for temperature in (0.3, 1., 50.):
        scaled = scale_temperature(scores, temperature)
        assert (scaled.argmax(1) == scores.argmax(1)).all()
        np.testing.assert_allclose(scaled.sum(1), 1)
    np.testing.assert_allclose(scale_temperature(scores, 1), scores, atol=1e-6)


def test_no_temperature_fits_what_is_all_right():
    pytest.importorskip('scipy')
    scores, _ = draw(50, 4)
    with pytest.raises(ValueError, match='all are predicted correctly'):
        fit_temperature(scores, scores.argmax(1))


@pytest.mark.parametrize('scores, labels, message', [
    ([[0.5, 0.6]], [0], 'row 0 is not a distribution'),
    ([[0.5, 0.5], [1.5, -0.5]], [0, 0], 'row 1 is not a distribution'),
    ([[float('nan'), 0.5]], [0], 'row 0'),
])
def test_bad_scores(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        calibration(scores, labels)
