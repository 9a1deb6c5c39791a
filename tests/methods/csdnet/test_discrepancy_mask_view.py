"""Tests of the discrepancy mask and its view."""
import math

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip('hypothesis')
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from csd_mmpretrain.methods.csdnet.discrepancy_mask_view import (
    DiscrepancyMaskView,
    discrepancy_mask,
)


def upsample(pattern, size):
    return F.interpolate(
        pattern[None, None], size, mode='bilinear', align_corners=False)[0, 0]


def slow_mask(pattern, size, threshold, percent):
    """One image's mask, pixel by pixel."""
    (h, w), (height, width) = pattern.shape, size
    lifted = pattern - pattern.min()
    up = upsample(lifted, size)
    if threshold == 'mean':
        level = up.mean()
    elif isinstance(threshold, float):
        level = up.min() + threshold * (up.max() - up.min())
    else:
        level = lifted.flatten().quantile(threshold[1])
    level = float(level)
    mask = [[value >= level for value in row] for row in up.tolist()]
    least = max(1, -(-percent[0] * height * width // 100))
    most = percent[1] * height * width // 100
    kept = sum(map(sum, mask))
    if least <= kept <= most:
        return torch.tensor(mask), least, most

    values = pattern.flatten().tolist()
    best_first = sorted(
        range(h * w),
        key=lambda i: (not math.isnan(values[i]), -values[i], i))
    cell_of = [[(y * h // height) * w + x * w // width for x in range(width)]
               for y in range(height)]
    chosen, covered = set(), 0
    for cell in best_first:
        pixels = sum(row.count(cell) for row in cell_of)
        if covered + pixels > most if kept > most else covered >= least:
            break
        chosen.add(cell)
        covered += pixels
    return torch.tensor([[cell in chosen for cell in row]
                         for row in cell_of]), least, most


@st.composite
def hostile_cases(draw):
    """Maps of any numbers, of few numbers (ties) and of one."""
    h, w = draw(st.tuples(*[st.integers(1, 5)] * 2).filter(
        lambda grid: grid != (1, 1)))
    number = st.floats(width=32)
    maps = []
    for _ in range(draw(st.integers(1, 3))):
        values = draw(st.sampled_from([
            number, st.floats(-2, 2, width=32), st.integers(0, 1),
            st.just(draw(number))
        ]))
        maps.append(draw(st.lists(values, min_size=h * w, max_size=h * w)))
    pattern = torch.tensor(maps, dtype=torch.float).view(-1, h, w)
    size = draw(st.tuples(*[st.integers(4, 24)] * 2))
    share = st.floats(0.01, 0.99)
    threshold = draw(st.one_of(st.just('mean'), share,
                               st.tuples(st.just('quantile'), share)))
    low = draw(st.integers(1, 90))
    return pattern, size, threshold, (low, draw(st.integers(low + 1, 99)))


@given(hostile_cases())
@settings(max_examples=300, deadline=None)
def test_hostile_maps_keep_the_area_and_equal_the_loop(case):
    pattern, size, threshold, percent = case
    area = tuple(p / 100 for p in percent)
    references = [slow_mask(p, size, threshold, percent) for p in pattern]
    _, least, most = references[0]
    largest = math.ceil(size[0] / pattern.size(1)) * math.ceil(
        size[1] / pattern.size(2))
    if largest > most - least + 1:
        with pytest.raises(ValueError, match='cell.*area'):
            discrepancy_mask(pattern, size, threshold, area)
        return
    masks = discrepancy_mask(pattern, size, threshold, area)
    for p, mask, (expected, _, _) in zip(pattern, masks, references):
        assert least <= mask.sum() <= most
        assert torch.equal(mask, expected)
        assert torch.equal(
            mask, discrepancy_mask(p[None], size, threshold, area)[0])


@pytest.mark.parametrize('value', [0., 0.1, 1 / 3, 7e-3, -123.456, 1e30])
@pytest.mark.parametrize('grid, size', [((7, 7), (224, 224)),
                                        ((3, 5), (31, 47)),
                                        ((14, 14), (100, 90))])
def test_every_constant_map_gives_the_same_mask(value, grid, size):
    pattern = torch.full((1, *grid), value)
    zero = torch.zeros(1, *grid)
    assert torch.equal(discrepancy_mask(pattern, size),
                       discrepancy_mask(zero, size))
    images = torch.ones(1, 1, *size)
    assert torch.equal(DiscrepancyMaskView('soft')(images, pattern)[0], images)


@pytest.mark.parametrize('mode', ['keep', 'erase', 'crop', 'soft'])
@pytest.mark.parametrize('grid', [(2, 1), (3, 5)])
@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf, 3e38, 1e-45])
def test_hostile_maps_give_finite_views(mode, grid, value):
    """One such cell, and nothing but such cells."""
    one = torch.rand(grid)
    one[-1, 0] = value
    images = torch.randn(2, 3, 13, 17)
    view, kept = DiscrepancyMaskView(mode)(
        images, torch.stack([one, torch.full(grid, value)]))
    assert view.isfinite().all() and kept.gt(0).all() and kept.le(1).all()
    assert view.abs().sum(dim=(1, 2, 3)).gt(0).all()


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


@pytest.mark.parametrize('mode', ['keep', 'erase', 'crop', 'soft'])
def test_one_position_is_an_error(mode):
    with pytest.raises(ValueError, match='1 x 1'):
        DiscrepancyMaskView(mode)(torch.rand(2, 3, 32, 32),
                                  torch.rand(2, 1, 1))


def test_cells_larger_than_the_bounds_are_an_error():
    with pytest.raises(ValueError, match='25%.*area'):
        discrepancy_mask(torch.rand(2, 2, 2), (32, 32), area=(0.4, 0.6))


@pytest.mark.parametrize('grid', [(1, 2), (2, 2), (3, 5), (7, 7), (14, 9)])
@pytest.mark.parametrize('q', [0.01, 0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize('ties', [False, True])
def test_kept_cells_equal_a_sort(grid, q, ties):
    n = grid[0] * grid[1]
    pattern = torch.randn(3, *grid)
    if ties:
        pattern = pattern.round()
    area = (1e-3, 1 - 1e-3)
    keep = DiscrepancyMaskView('keep', ('quantile', q), area)
    erase = DiscrepancyMaskView('erase', ('quantile', q), area)
    masked = min(max(round((1 - q) * n), 1), n - 1)
    for b, values in enumerate(pattern.flatten(1).tolist()):
        ranked = sorted(range(n), key=lambda place: (-values[place], place))
        assert keep.kept_cells(pattern)[b].tolist() == ranked[:masked]
        assert erase.kept_cells(pattern)[b].tolist() == ranked[masked:]


@pytest.mark.parametrize('q, area, kept', [
    (0.05, (0.1, 0.6), 60),
    (0.95, (0.3, 0.9), 30),
    (0.5, (0.1, 0.9), 50),
])
def test_kept_cells_stay_within_the_bounds(q, area, kept):
    view = DiscrepancyMaskView(threshold=('quantile', q), area=area)
    assert view.kept_cells(torch.rand(2, 10, 10)).shape == (2, kept)


def test_kept_cells_of_a_useless_map_are_an_error():
    view = DiscrepancyMaskView(threshold=('quantile', 0.5), area=(0.4, 0.6))
    with pytest.raises(ValueError, match='1 x 1'):
        view.kept_cells(torch.rand(2, 1, 1))
    with pytest.raises(ValueError, match='area'):
        view.kept_cells(torch.rand(2, 1, 3))


@pytest.mark.parametrize('options, equal', [
    (dict(threshold=('quantile', 0.5)), True),
    (dict(threshold=['quantile', 0.5], mode='erase'), True),
    (dict(threshold=('quantile', 0.5), mode='crop'), False),
    (dict(threshold=('quantile', 0.5), mode='soft'), False),
    (dict(threshold='mean'), False),
    (dict(threshold=0.5), False),
])
def test_keeps_equal_cells(options, equal):
    assert DiscrepancyMaskView(**options).keeps_equal_cells is equal
