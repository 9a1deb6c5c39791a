import math

import numpy as np
import pytest
import torch

from csd_mmpretrain.evaluation.localization import (
    content_heatmap,
    deletion_curve,
    heat_iou,
    outside_inside_relevance,
)

MEASURES = content_heatmap, outside_inside_relevance, heat_iou


def test_localization(oracle):
    known = oracle('st_protopnet/localisation')
    found = [measure(known['heatmap'], known['mask']) for measure in MEASURES]
    np.testing.assert_allclose(
        found, [known['content_heatmap'], known['outside_inside_relevance'],
                known['iou']], rtol=1e-6)


def test_deletion_curve(oracle):
    known = {name: torch.from_numpy(value) for name, value in oracle(
        'st_protopnet/deletion_curve').items()}

    def classify(images):
        logits = [images.flatten(1) @ known[f'weight_{branch}'].T
                  for branch in ('trivial', 'support')]
        return sum(x.softmax(1) for x in logits) / 2

    scores, area = deletion_curve(classify, known['image'][0],
                                  known['saliency'], int(known['step']))
    np.testing.assert_allclose(scores, known['scores'], rtol=1e-5)
    assert area == pytest.approx(known['area'].item(), rel=1e-5)


@pytest.mark.parametrize('step', [1, 7, 35, 100])
def test_deletion_of_pixels_one_after_the_other(step):
    image = torch.rand(3, 5, 7)
    saliency = torch.rand(5, 7)

    def classify(images):
        left = images.sum((1, 2, 3)) / image.sum()
        return torch.stack([1 - left, left], 1)

    expected, left = [], image.clone()
    pixels = sorted(np.ndindex(5, 7), key=lambda yx: -saliency[yx])
    for start in range(0, 35 + step, step):
        expected.append((left.sum() / image.sum()).item())
        for y, x in pixels[start:start + step]:
            left[:, y, x] = 0
    scores, area = deletion_curve(classify, image, saliency, step)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    mean = torch.trapezoid(torch.tensor(expected)) / (len(expected) - 1)
    assert area == pytest.approx(mean.item(), abs=1e-5)


def test_maps_and_masks_of_one_value():
    mask = np.eye(4, dtype=bool)
    zeros = np.zeros((4, 4), np.float32)
    assert [measure(zeros, mask) for measure in MEASURES] == [0, 1, 0]
    assert [measure(zeros + 1, mask) for measure in MEASURES] == [1, 1, 0.25]
    assert [measure(zeros + 1, mask | True)
            for measure in MEASURES] == [1, 0, 1]
    assert outside_inside_relevance(1 - np.eye(4), mask) == math.inf


@pytest.mark.parametrize('measure', MEASURES)
def test_masks_that_measure_nothing(measure):
    heat = np.random.rand(4, 4)
    with pytest.raises(ValueError, match='mask: it is empty'):
        measure(heat, np.zeros((4, 4), bool))
    with pytest.raises(ValueError, match=r'mask: its shape is \(4, 5\)'):
        measure(heat, np.ones((4, 5), bool))
