"""Tests of crop_resize against sampling pixel by pixel."""
import math

import pytest
import torch

from csd_mmpretrain.layers.crop_resize import crop_resize


def slow_crop_resize(image, box):
    """Interpolate every pixel of one (C, H, W) image by hand."""
    _, height, width = image.shape
    top, bottom, left, right = box
    out = torch.empty_like(image)

    def neighbors(place, size):
        low = math.floor(place)
        return [(min(max(low + i, 0), size - 1), w)
                for i, w in ((0, low + 1 - place), (1, place - low))]

    for i in range(height):
        y = (top + (i + 0.5) / height * (bottom - top)) * height - 0.5
        for j in range(width):
            x = (left + (j + 0.5) / width * (right - left)) * width - 0.5
            out[:, i, j] = sum(
                wy * wx * image[:, v, u] for v, wy in neighbors(y, height)
                for u, wx in neighbors(x, width))
    return out


BOXES = torch.tensor([
    [0., 1., 0., 1.],
    [0.1, 0.73, 0.4, 0.95],
    [0., 0.5, 0.9, 0.3],
    [0.25, 0.3, 1., 0.],
])


@pytest.mark.parametrize('size', [(8, 8), (7, 13), (1, 5)])
def test_equals_sampling_by_hand(size):
    images = torch.randn(len(BOXES), 2, *size)
    out = crop_resize(images, BOXES)
    for image, box, got in zip(images, BOXES, out):
        torch.testing.assert_close(
            got, slow_crop_resize(image, box.tolist()), atol=2e-5, rtol=1e-4)


def test_swapped_edges_mirror():
    images = torch.randn(1, 3, 9, 12)
    box = torch.tensor([[0., 1., 1., 0.]])
    torch.testing.assert_close(
        crop_resize(images, box), images.flip(-1), atol=1e-5, rtol=1e-5)


def test_autocast_does_not_move_the_box():
    images = torch.randn(len(BOXES), 3, 64, 48)
    expected = crop_resize(images, BOXES)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(crop_resize(images, BOXES), expected)
