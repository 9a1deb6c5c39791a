"""Texts never meet, images keep size and proportions."""
import io

import numpy as np
import pytest
from matplotlib.text import Text

from csd_mmpretrain.visualization.figure_pixels import figure_pixels
from csd_mmpretrain.visualization.image_grid import (
    GRAY,
    GREEN,
    RED,
    Panel,
    draw_grid,
)

LONG = 'target: a-very-long-name-of-a-class $5 and $6 that does not fit ' * 3


def image(height=40, width=32, value=128):
    return np.full((height, width, 3), value, np.uint8)


def texts(figure):
    return [text for text in figure.findobj(Text) if text.get_text()
            and text.get_visible() and text.get_alpha() != 0]


def panel_axes(figure):
    return [axes for axes in figure.axes
            if axes.images and axes.get_subplotspec()]


def assert_no_text_meets_another_or_an_image(figure):
    figure.canvas.draw()
    edges = figure.bbox
    boxes = [text.get_window_extent() for text in texts(figure)]
    for box in boxes + [axes.get_tightbbox() for axes in figure.axes]:
        assert box.x0 >= edges.x0 - 1 and box.x1 <= edges.x1 + 1
        assert box.y0 >= edges.y0 - 1 and box.y1 <= edges.y1 + 1
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(axes.bbox) for axes in panel_axes(figure))
        assert not any(box.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize('count, columns, bar, square', [
    (1, 1, 'CAM', False), (3, 2, '', False), (5, None, 'CAM', True),
    (2, 9, '', True)])
def test_no_text_meets_another_or_an_image(count, columns, bar, square):
    rows = []
    for i in range(count):
        shown = image(40, 32 + 16 * (i % 3))
        captions = [(LONG, GREEN), (f'{i}%', GRAY)]
        rows.append([Panel(shown, captions=captions), None,
                     Panel(shown, captions=captions[:i], heat=np.eye(4) + i),
                     Panel(shown[..., 0] > 0)])
    figure = draw_grid(rows, [LONG, '', 'map', 'mask'], columns, cell=1.3,
                       title=LONG, note=LONG, bar=bar, square=square)
    bars = 1 if bar else count
    assert sum(axes.get_frame_on() for axes in figure.axes) == 3 * count + bars
    assert_no_text_meets_another_or_an_image(figure)
    assert sum(text.get_text() == 'map' for text in texts(figure)) == min(
        count, {None: 1}.get(columns, columns))


def test_images_have_their_size_and_proportions():
    figure = draw_grid([[Panel(image(30, 60), 'a'), Panel(image(40, 40))],
                        [Panel(image(80, 40), captions=[('b', RED)])]],
                       cell=2.)
    size = figure.get_size_inches()
    for axes, (width, height) in zip(panel_axes(figure),
                                     [(4, 2), (2, 2), (4, 2)]):
        inches = axes.get_position().size * size
        np.testing.assert_allclose(inches, (width, height), atol=0.01)
        pixels = axes.transData.transform([(0, 0), (1, 1)])
        across, up = np.abs(pixels[1] - pixels[0])
        assert across == pytest.approx(up, rel=0.01)


def test_a_title_reaches_as_far_as_there_is_no_other():
    panels = [Panel(image()) for _ in range(6)]
    panels[0] = panels[0]._replace(title='a title as long as three panels')
    panels[3] = panels[3]._replace(title='another')
    figure = draw_grid([panels], cell=1)
    assert_no_text_meets_another_or_an_image(figure)
    assert panels[0].title in [text.get_text() for text in texts(figure)]
    starts = [axes.get_position().x0 for axes in panel_axes(figure)]
    np.testing.assert_allclose(np.diff(starts), np.diff(starts)[0], atol=1e-3)
    panels[1] = panels[1]._replace(title='b')
    figure = draw_grid([panels], cell=1)
    assert panels[0].title not in [text.get_text() for text in texts(figure)]
    assert_no_text_meets_another_or_an_image(figure)


def test_dollars_are_no_math_and_long_texts_are_cut():
    figure = draw_grid([[Panel(image(), '$x$', [('costs $5 or $6', GRAY),
                                                (LONG, RED)])]])
    found = [text.get_text() for text in texts(figure)]
    assert '$x$' in found and 'costs $5 or $6' in found
    assert any(text.endswith('…') for text in found)
    assert not any(text.get_parse_math() for text in texts(figure))


def test_the_arrays_are_drawn_as_they_are():
    mask, heat = np.tri(40, 32, dtype=bool), np.arange(6.).reshape(2, 3)
    figure = draw_grid([[Panel(image()), Panel(mask),
                         Panel(image(), heat=heat, edge=mask)]])
    shown = [axes.images[-1].get_array() for axes in panel_axes(figure)]
    for found, array in zip(shown, (image(), mask, heat)):
        np.testing.assert_array_equal(found, array)
    assert len(figure.axes[2].collections) == 1
    assert figure_pixels(figure, 50).std() > 10


@pytest.mark.parametrize('edge', [np.ones((40, 32), bool), None])
def test_full_masks_and_maps_that_are_all_alike(edge):
    heat = 1 + 1e-4 * np.random.rand(3, 4)
    figure = draw_grid([[Panel(image(), heat=heat, edge=edge),
                         Panel(image(), heat=100 * heat - 100)]])
    figure.savefig(io.BytesIO(), format='pdf')
    even, other = (axes.images[-1].get_clim() for axes in figure.axes[:2])
    assert even == pytest.approx((0.975, 1.025), abs=1e-3)
    assert np.ptp(other) == pytest.approx(100 * np.ptp(heat))


def test_frames_differ_in_grey():
    right, wrong = (
        figure_pixels(draw_grid([[Panel(
            image(value=255), frame=frame, sign=sign, dashed=dashed)]]))
        for frame, sign, dashed in ((GREEN, '✓', False), (RED, '✗', True)))
    gray = np.array([0.299, 0.587, 0.114])
    assert np.abs((right - wrong.astype(float)) @ gray).max() > 60


def test_nothing_is_left_in_pyplot():
    draw_grid([[Panel(image())]])
    from matplotlib import pyplot
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize('rows', [[], [[]]])
def test_nothing_to_draw(rows):
    with pytest.raises(ValueError, match='no image to draw'):
        draw_grid(rows)
