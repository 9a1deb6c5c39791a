"""Salient regions against the reference, SciPy's labels and loops."""
import numpy as np
import pytest
import torch

from csd_mmpretrain.methods.jepa.regions import (
    connected_components,
    min_max,
    otsu_threshold,
    region_means,
    saliency,
    salient_regions,
)


@pytest.mark.parametrize('name', ['regions', 'regions_default_area'])
def test_regions_of_the_reference(reference, name):
    data = reference(name)
    scores = saliency(data['tokens'], data['query'])
    torch.testing.assert_close(scores, data['saliency'])
    torch.testing.assert_close(
        min_max(scores), data['normalised'], rtol=0, atol=1e-9)
    levels = (min_max(scores) * 255).long()
    assert torch.equal(
        otsu_threshold(levels), data['otsu_threshold_of_255'].long())
    regions, means = salient_regions(
        scores, (14, 14), int(data['num_regions']), float(data['min_area']))
    assert torch.equal(regions, data['regions'])
    torch.testing.assert_close(means, data['mean_saliency'].nan_to_num())


def test_otsu_against_a_loop():
    levels = torch.randint(0, 256, (20, 37)) // torch.tensor([[1], [40]]
                                                             ).repeat(10, 1)
    for row, found in zip(levels, otsu_threshold(levels)):
        between = []
        for level in range(256):
            dark, bright = row[row <= level], row[row > level]
            between.append(
                len(dark) * len(bright) *
                (dark.double().mean() - bright.double().mean()).square()
                if len(dark) and len(bright) else 0.)
        best = float(max(between))
        assert float(between[int(found)]) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize('size', [(1, 1), (1, 9), (7, 2), (13, 14), (8, 8)])
@pytest.mark.parametrize('share', [0., .3, .5, .7, 1.])
def test_components_are_those_of_scipy(size, share):
    label = pytest.importorskip('scipy.ndimage').label
    masks = torch.rand(20, *size) < share
    for mask, found in zip(masks.numpy(), connected_components(masks)):
        labels, number = label(mask, np.ones((3, 3)))
        right = np.zeros(size, int)
        for i in range(1, number + 1):
            first = np.flatnonzero(labels == i)[0]
            right[labels == i] = mask.size - first
        assert (found.numpy() == right).all()


def test_the_longest_way_is_one_component():
    """A spiral, and a comb that joins in its last row alone."""
    spiral = torch.zeros(15, 15, dtype=torch.bool)
    y, x, dy, dx = 0, -1, 0, 1
    for length in (15, 14, 14, 12, 12, 10, 10, 8, 8, 6, 6, 4, 4, 2, 2):
        for _ in range(length):
            y, x = y + dy, x + dx
            spiral[y, x] = True
        dy, dx = dx, -dy
    comb = torch.zeros(15, 15, dtype=torch.bool)
    comb[:, ::2] = True
    assert len(connected_components(comb[None]).unique()) == 9
    comb[-1] = True
    for mask in (spiral, comb):
        assert len(connected_components(mask[None]).unique()) == 2


def test_no_value_is_read_by_the_host():
    """A tensor without values has none to read."""
    regions, means = salient_regions(torch.rand(3, 196, device='meta'),
                                     (14, 14))
    assert regions.shape == (3, 5, 196) and means.shape == (3, 5)


def test_regions_are_disjoint_and_cover_the_grid():
    scores = torch.nn.functional.interpolate(
        torch.randn(30, 1, 5, 5), size=(12, 9), mode='bicubic').flatten(1)
    regions, means = salient_regions(scores, (12, 9), 4, 0.03)
    assert (regions.sum(1) == 1).all()
    found = regions[:, :-1].any(-1)
    assert found.sum(1).float().mean() > 1
    for row, exists in zip(means[:, :-1], found):
        assert row[exists].tolist() == sorted(row[exists].tolist())[::-1]
    order = torch.randperm(30)
    assert torch.equal(
        salient_regions(scores[order], (12, 9), 4, 0.03)[0], regions[order])


def test_more_regions_than_patches():
    regions, _ = salient_regions(torch.tensor([[0., 0, 9, 9]]), (2, 2), 9)
    assert regions.shape == (1, 9, 4)
    assert regions.sum(-1).tolist() == [[2, 0, 0, 0, 0, 0, 0, 0, 2]]


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_the_smallest_area_does_not_depend_on_the_dtype(dtype):
    """0.07 * 100 is a little more than 7, and 0.06 * 100 is 6."""
    scores = torch.zeros(1, 100, dtype=dtype)
    scores[0, :7] = 1
    for min_area, kept in ((.06, True), (.07, False)):
        regions, _ = salient_regions(scores, (10, 10), 2, min_area)
        assert regions[0, 0].any() == kept


def test_means_of_empty_regions_are_zero():
    scores = torch.tensor([[1., 3.]])
    regions = torch.tensor([[[1, 1], [0, 0], [0, 1]]]).bool()
    assert region_means(scores, regions).tolist() == [[2., 0., 3.]]
