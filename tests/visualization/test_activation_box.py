import numpy as np
import pytest

from csd_mmpretrain.visualization.activation_box import (
    cell_box,
    enlarged,
    high_activation_box,
    min_max,
)


def test_high_activation_box(oracle):
    known = oracle('st_protopnet/high_activation_box')
    size = (int(known['size']), ) * 2
    boxes = [high_activation_box(heat, size) for heat in known['activation']]
    top, bottom, left, right = known['box_y0_y1_x0_x1'].T
    assert boxes == list(zip(left, top, right, bottom))
    for heat, large in zip(known['activation'], known['enlarged']):
        np.testing.assert_allclose(enlarged(heat, size), large, atol=1e-6)


def test_a_constant_map_points_nowhere():
    # OpenCV's weights add up to one but for rounding.
    heat = np.full((7, 7), 0.1, np.float32)
    assert high_activation_box(heat, (30, 45)) == (0, 0, 45, 30)
    assert not min_max(enlarged(heat, (30, 45))).any()


def test_min_max():
    np.testing.assert_array_equal(min_max(np.array([-1., 0, 3])),
                                  [0, 0.25, 1])


def test_cell_box(oracle):
    known = oracle('epic/boxes')
    for heat, box in zip(known['activation'], known['box_x0_y0_x1_y1']):
        cell = np.unravel_index(heat.argmax(), heat.shape)
        assert cell_box(cell, heat.shape, known['image_size_hw']) == \
            tuple(box)


@pytest.mark.parametrize('grid, image', [((7, 5), (97, 83)), ((3, 3), (3, 3)),
                                         ((1, 1), (10, 20))])
def test_cells_cover_every_pixel_once(grid, image):
    covered = np.zeros(image, int)
    for cell in np.ndindex(*grid):
        left, top, right, bottom = cell_box(cell, grid, image)
        covered[top:bottom, left:right] += 1
    assert (covered == 1).all()
