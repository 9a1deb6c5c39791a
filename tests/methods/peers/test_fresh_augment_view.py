"""Tests of FreshAugmentView, one image at a time."""
import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.functional import resized_crop

from csd_mmpretrain.methods.peers.random_views import FreshAugmentView

SIZES = [(32, 32), (31, 45), (64, 16)]


def sides(boxes):
    """Heights and widths of the boxes, and which are mirrored."""
    top, bottom, left, right = boxes.unbind(1)
    return bottom - top, (right - left).abs(), right < left


@pytest.mark.parametrize('size', SIZES)
def test_boxes_are_those_asked_for(size):
    view = FreshAugmentView(scale=(0.3, 0.9), ratio=(0.5, 3.), flip=0.25)
    area, boxes = view._boxes(torch.empty(4000, 3, *size))
    rows, cols, mirrored = sides(boxes)
    assert boxes.min() >= 0 and boxes.max() <= 1 + 1e-6
    torch.testing.assert_close(rows * cols, area)
    assert 0.3 <= area.min() < 0.31 and 0.89 < area.max() <= 0.9
    assert abs(area.mean() - 0.6) < 0.01
    assert abs(mirrored.float().mean() - 0.25) < 0.03

    free = (rows < 1 - 1e-6) & (cols < 1 - 1e-6)
    ratio = (cols * size[1] / (rows * size[0]))[free]
    assert free.any()
    assert ratio.min() > 0.499 and ratio.max() < 3.001
    # Places: the gaps before and after a crop are alike.
    after = 1 - boxes[:, 2:].amax(dim=1)
    assert abs((boxes[:, 2:].amin(dim=1) - after).mean()) < 0.02
    assert abs((boxes[:, 0] - (1 - boxes[:, 1])).mean()) < 0.02


def test_ratio_is_uniform_in_the_logarithm():
    view = FreshAugmentView(scale=(0.1, 0.1), ratio=(0.25, 4.))
    rows, cols, _ = sides(view._boxes(torch.empty(4000, 3, 32, 32))[1])
    logs = (cols / rows).log() / math.log(4)
    assert abs(logs.mean()) < 0.03
    assert abs(logs.std() - 1 / math.sqrt(3)) < 0.02


@pytest.mark.parametrize('size', SIZES)
def test_crop_and_flip_equal_torchvision(size, monkeypatch):
    """On boxes that end between pixels, away from the crop's border."""
    height, width = size
    view = FreshAugmentView(jitter=0)
    images = F.interpolate(torch.randn(6, 3, 4, 4), size, mode='bilinear')
    boxes = [(h // 4, h // 4 + h // 2 + i, w // 8, w // 8 + w // 2 + i)
             for i, (h, w) in enumerate([size] * 6)]
    scaled = torch.tensor(boxes) / torch.tensor([height, height, width, width])
    flipped = torch.arange(6) % 2 == 1
    scaled[flipped] = scaled[flipped][:, [0, 1, 3, 2]]
    area = torch.rand(6)
    monkeypatch.setattr(view, '_boxes', lambda images: (area, scaled))
    out, kept = view(images)
    assert torch.equal(kept, area)
    for image, (top, bottom, left, right), mirror, got in zip(
            images, boxes, flipped, out):
        expected = resized_crop(
            image, top, left, bottom - top, right - left, list(size),
            antialias=False)
        if mirror:
            expected = expected.flip(-1)
        inner = (slice(None), slice(3, -3), slice(3, -3))
        torch.testing.assert_close(
            got[inner], expected[inner], atol=1e-4, rtol=1e-4)


def test_jitter_changes_contrast_and_brightness_within_bounds():
    view = FreshAugmentView(scale=(1, 1), flip=0, jitter=0.3)
    images = torch.randn(500, 3, 5, 7) * 2 + 1
    out, kept = view(images)
    assert torch.equal(kept, torch.ones(500))
    contrasts, shifts = [], []
    for before, after in zip(images, out):
        mean = before.mean()
        contrasts.append(float(after.std() / before.std()))
        shifts.append(float(after.mean() - mean))
        expected = mean + contrasts[-1] * (before - mean) + shifts[-1]
        torch.testing.assert_close(after, expected, atol=1e-4, rtol=1e-4)
    for values, center in ((contrasts, 1), (shifts, 0)):
        values = torch.tensor(values) - center
        assert -0.3001 < values.min() < -0.28 and 0.28 < values.max() < 0.3001
        assert abs(values.mean()) < 0.03
    both = torch.tensor([contrasts, shifts])
    assert abs(torch.corrcoef(both)[0, 1]) < 0.15


@pytest.mark.parametrize('size', SIZES)
def test_without_its_parts_it_is_the_identity(size):
    images = torch.randn(3, 3, *size)
    out, kept = FreshAugmentView(scale=(1, 1), flip=0, jitter=0)(images)
    assert torch.equal(out, images) and torch.equal(kept, torch.ones(3))


def test_flip_alone_mirrors():
    images = torch.randn(3, 3, 31, 45)
    out, kept = FreshAugmentView(scale=(1, 1), flip=1, jitter=0)(images)
    torch.testing.assert_close(out, images.flip(-1), atol=2e-5, rtol=1e-5)
    assert torch.equal(kept, torch.ones(3))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float32])
def test_keeps_shape_dtype_and_the_images_given(dtype):
    images = torch.randn(2, 3, 16, 12, dtype=dtype)
    before = images.clone()
    out, kept = FreshAugmentView()(images)
    assert out.shape == images.shape and out.dtype == dtype
    assert kept.shape == (2, ) and kept.dtype == torch.float32
    assert torch.equal(images, before)


def test_images_differ_and_two_calls_differ():
    images = torch.randn(1, 3, 16, 16).expand(8, -1, -1, -1)
    view = FreshAugmentView()
    first, second = view(images)[0], view(images)[0]
    assert len(torch.unique(first.flatten(1), dim=0)) == 8
    assert not torch.equal(first, second)


@pytest.mark.parametrize('option', [
    dict(scale=(0.5, 0.2)),
    dict(scale=(0., 0.2)),
    dict(scale=(0.2, 1.1)),
    dict(scale=(0.2, )),
    dict(ratio=(2., 1.)),
    dict(ratio=(0., 1.)),
    dict(flip=1.5),
    dict(flip=-0.1),
    dict(jitter=-0.1),
    dict(jitter=2),
])
def test_bad_options_are_named(option):
    with pytest.raises(ValueError, match=f'{next(iter(option))}='):
        FreshAugmentView(**option)
