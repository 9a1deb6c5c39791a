"""Tests of EraseShuffleView."""
import pytest
import torch

from csd_mmpretrain.methods.peers.random_views import EraseShuffleView


@pytest.mark.parametrize('size', [(32, 32), (31, 45), (16, 64)])
def test_erased_part_is_one_rectangle_of_the_asked_area(size):
    view = EraseShuffleView(area=(0.15, 0.45))
    images = torch.ones(200, 3, *size)
    for mask in view._rectangles(images):
        rows, cols = mask.nonzero().unbind(1)
        box = mask[rows.min():rows.max() + 1, cols.min():cols.max() + 1]
        assert box.all() and box.sum() == mask.sum()
        share = mask.float().mean()
        slack = 2 / min(size)
        assert 0.15 - slack <= share <= 0.45 + slack


@pytest.mark.parametrize('size', [(8, 8), (9, 7)])
def test_shuffle_permutes_the_quadrants_of_each_image(size):
    torch.manual_seed(0)
    images = torch.arange(20. * 3 * size[0] * size[1]).view(20, 3, *size)
    out = EraseShuffleView._shuffle(images)
    h, w = size[0] // 2, size[1] // 2
    places = [(0, 0), (0, w), (h, 0), (h, w)]
    orders = set()
    for before, after in zip(images, out):
        order = []
        for y, x in places:
            quadrant = after[:, y:y + h, x:x + w]
            order += [
                i for i, (v, u) in enumerate(places)
                if torch.equal(before[:, v:v + h, u:u + w], quadrant)
            ]
        assert sorted(order) == [0, 1, 2, 3]
        orders.add(tuple(order))
    assert len(orders) > 3
    assert torch.equal(out[..., 2 * h:, :], images[..., 2 * h:, :])
    assert torch.equal(out[..., 2 * w:], images[..., 2 * w:])


def test_kept_is_the_share_of_pixels_left():
    images = torch.ones(16, 3, 20, 24)
    out, kept = EraseShuffleView()(images)
    torch.testing.assert_close(kept, out.mean(dim=(1, 2, 3)))


@pytest.mark.parametrize('option', [
    dict(area=(0.5, 0.2)),
    dict(area=(0., 0.2)),
    dict(area=(0.2, 1.)),
    dict(aspect=(3., 1.)),
    dict(aspect=(0., 1.))
])
def test_bad_bounds_are_named(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        EraseShuffleView(**option)
