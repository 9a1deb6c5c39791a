"""Tests of the discrepancy mask and its view."""
import pytest
import torch
import torch.nn.functional as F

from csd_mmpretrain.models.views import DiscrepancyMaskView
from csd_mmpretrain.models.views.discrepancy_mask_view import discrepancy_mask

SIZES = [((2, 2), (8, 8)), ((7, 7), (224, 224)), ((3, 5), (31, 47)),
         ((1, 4), (16, 16)), ((14, 14), (100, 90))]


def upsample(pattern, size):
    return F.interpolate(
        pattern[None, None], size, mode='bilinear', align_corners=False)[0, 0]


@pytest.mark.parametrize('grid, size', SIZES)
@pytest.mark.parametrize('threshold', ['mean', 0.5, ('quantile', 0.4)])
def test_threshold_equals_the_loop_over_images(grid, size, threshold):
    pattern = torch.randn(4, *grid)
    masks = discrepancy_mask(pattern, size, threshold, (1e-6, 1 - 1e-6))
    for p, mask in zip(pattern, masks):
        up = upsample(p, size)
        if threshold == 'mean':
            level = up.mean()
        elif threshold == 0.5:
            level = up.min() + 0.5 * (up.max() - up.min())
        else:
            level = torch.quantile(p, 0.4)
        assert torch.equal(mask, up >= level)


def hostile_maps(grid):
    ramp = torch.arange(float(grid[0] * grid[1])).view(grid)
    spike = torch.zeros(grid)
    spike[0, 0] = 100.
    ties = (ramp % 2)
    return torch.stack([
        torch.zeros(grid), torch.full(grid, 7.), ramp, spike, -spike, ties,
        torch.full(grid, float('nan')), ramp * 1e30
    ])


@pytest.mark.parametrize('grid, size', SIZES)
@pytest.mark.parametrize('threshold', ['mean', 0.02, 0.98, ('quantile', 0.01),
                                       ('quantile', 0.99)])
@pytest.mark.parametrize('area', [(0.1, 0.9), (0.05, 0.6), (0.35, 0.9)])
def test_area_stays_inside_its_bounds(grid, size, threshold, area):
    masks = discrepancy_mask(hostile_maps(grid), size, threshold, area)
    kept = masks.float().mean(dim=(1, 2))
    assert (kept >= area[0] - 1e-6).all() and (kept <= area[1] + 1e-6).all()


def test_ranking_keeps_the_best_cells():
    pattern = torch.rand(1, 10, 10)
    mask = discrepancy_mask(pattern, (20, 20), ('quantile', 0.999),
                            (0.25, 0.9))
    cells = mask[0, ::2, ::2]
    assert cells.sum() == 25
    assert pattern[0][cells].min() > pattern[0][~cells].max()


def test_ties_are_broken_by_position():
    mask = discrepancy_mask(torch.zeros(1, 4, 4), (4, 4), 'mean', (0.1, 0.5))
    assert mask.flatten().tolist() == [True] * 8 + [False] * 8


def images_and_pattern():
    return torch.randn(3, 3, 24, 20), torch.randn(3, 6, 5)


def test_keep_and_erase_split_the_image():
    images, pattern = images_and_pattern()
    kept_view, kept = DiscrepancyMaskView('keep')(images, pattern)
    erased_view, rest = DiscrepancyMaskView('erase')(images, pattern)
    torch.testing.assert_close(kept_view + erased_view, images)
    torch.testing.assert_close(kept + rest, torch.ones(3))
    mask = discrepancy_mask(pattern, (24, 20))
    for b in range(3):
        assert torch.equal(kept_view[b], images[b] * mask[b])
        assert kept[b] == mask[b].float().mean()


def test_soft_equals_the_loop():
    images, pattern = images_and_pattern()
    view, kept = DiscrepancyMaskView('soft')(images, pattern)
    for b in range(3):
        up = upsample(pattern[b], (24, 20))
        weights = (up - up.min()) / (up.max() - up.min())
        torch.testing.assert_close(view[b], images[b] * weights)
        torch.testing.assert_close(kept[b], weights.mean())


def test_soft_keeps_an_image_whose_map_is_constant():
    images = torch.randn(1, 3, 8, 8)
    view, kept = DiscrepancyMaskView('soft')(images, torch.ones(1, 2, 2))
    assert torch.equal(view, images) and kept == 1


def test_crop_equals_resizing_the_box():
    images = torch.randn(2, 3, 32, 32)
    pattern = torch.zeros(2, 8, 8)
    pattern[0, 2:5, 1:4] = 1
    pattern[1, 5:, 6:] = 1
    view = DiscrepancyMaskView('crop', threshold=0.5)
    out, kept = view(images, pattern)
    for b, mask in enumerate(view.mask(pattern, (32, 32))):
        rows, cols = mask.nonzero().unbind(1)
        box = images[b:b + 1, :, rows.min():rows.max() + 1,
                     cols.min():cols.max() + 1]
        expected = F.interpolate(
            box, (32, 32), mode='bilinear', align_corners=False)[0]
        inner = (slice(None), slice(4, -4), slice(4, -4))
        torch.testing.assert_close(
            out[b][inner], expected[inner], atol=1e-4, rtol=1e-4)
        assert kept[b] == box[0, 0].numel() / 32**2


def test_crop_of_the_whole_image_is_the_image():
    images = torch.randn(1, 3, 12, 10)
    corners = torch.zeros(1, 6, 5)
    corners[0, 0, 0] = corners[0, -1, -1] = 1
    out, kept = DiscrepancyMaskView('crop', area=(0.01, 0.9))(images, corners)
    torch.testing.assert_close(out, images, atol=1e-5, rtol=1e-5)
    assert kept == 1


@pytest.mark.parametrize('mode', ['keep', 'erase', 'crop', 'soft'])
def test_views_keep_shape_and_dtype(mode):
    images = torch.randn(2, 3, 16, 16).bfloat16()
    out, kept = DiscrepancyMaskView(mode)(images, torch.rand(2, 4, 4))
    assert out.shape == images.shape and out.dtype == images.dtype
    assert kept.shape == (2, ) and kept.dtype == torch.float32


@pytest.mark.parametrize('option, message', [
    (dict(mode='blur'), "mode='blur'"),
    (dict(threshold='median'), "threshold='median'"),
    (dict(threshold=1.5), 'threshold=1.5'),
    (dict(threshold=('quantile', 2.)), 'threshold='),
    (dict(area=(0.9, 0.1)), 'area=\\(0.9, 0.1\\)'),
    (dict(area=(0., 0.5)), 'area='),
])
def test_bad_options_are_named(option, message):
    with pytest.raises(ValueError, match=message):
        DiscrepancyMaskView(**option)


def test_one_position_is_an_error():
    with pytest.raises(ValueError, match='1 x 1'):
        discrepancy_mask(torch.rand(2, 1, 1), (32, 32))


def test_cells_larger_than_the_bounds_are_an_error():
    with pytest.raises(ValueError, match='25%.*area'):
        discrepancy_mask(torch.rand(2, 2, 2), (32, 32), area=(0.4, 0.6))
