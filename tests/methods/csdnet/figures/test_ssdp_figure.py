import numpy as np
import pytest
from matplotlib.text import Text

from csd_mmpretrain.methods.csdnet.figures.ssdp_figure import draw_ssdp_figure
from csd_mmpretrain.methods.csdnet.figures.ssdp_rows import SSDPRow
from csd_mmpretrain.visualization.figure_pixels import figure_pixels


def make_row(height=24, width=32, views=('keep', ), **changes):
    random = np.random.RandomState(0)
    image = random.randint(0, 256, (height, width, 3), dtype=np.uint8)
    pattern = random.rand(3, 4)
    mask = np.zeros((height, width), dtype=bool)
    mask[:12, :16] = True
    seconds = {name: np.roll(image, i) for i, name in enumerate(views)}
    best = [[(2, 0.5), (0, 0.3)]] * (1 + len(views))
    row = SSDPRow(image, pattern, 1 / (1 + np.exp(-pattern)), mask, seconds,
                  best, 0)
    return row._replace(**changes)


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text)
            if text.get_text()]


@pytest.mark.parametrize('count', [1, 3])
@pytest.mark.parametrize('views', [('keep', ), ('erase', 'crop', 'soft')])
def test_one_row_per_image_one_panel_per_column(count, views):
    figure = draw_ssdp_figure([make_row(views=views)] * count)
    panels, bars = 4 + len(views), 2
    assert len(figure.axes) == count * (panels + bars)
    assert figure_pixels(figure, 50).std() > 10


def test_the_panels_show_the_arrays():
    row = make_row(views=('keep', 'crop'))
    axes = draw_ssdp_figure([row]).axes
    shown = [ax.images[-1].get_array() for ax in axes if ax.images]
    expected = [row.image, row.pattern, row.gate, row.mask,
                *row.seconds.values()]
    for found, array in zip(shown, expected):
        np.testing.assert_array_equal(found, array)


def test_columns_that_are_not_there_are_left_out():
    row = make_row(pattern=None, gate=None, mask=None,
                   views=('EraseShuffleView', ))
    figure = draw_ssdp_figure([row])
    assert len(figure.axes) == 2
    assert sum('EraseShuffleView' in text for text in texts(figure)) == 1


def test_classes_and_scores_are_written_as_they_are():
    found = texts(draw_ssdp_figure([make_row()], ['costs $5', 'b', 'a_b ^']))
    assert 'true: costs $5' in found
    assert found.count(' 50%  a_b ^') == found.count(' 30%  costs $5') == 2
    found = texts(draw_ssdp_figure([make_row()]))
    assert 'true: class 0' in found and ' 50%  class 2' in found


def test_the_true_class_is_green():
    figure = draw_ssdp_figure([make_row()])
    colors = {text.get_text(): text.get_color()
               for text in figure.findobj(Text)}
    assert colors['true: class 0'] == colors[' 30%  class 0']
    assert colors[' 30%  class 0'] != colors[' 50%  class 2']


def test_neither_classes_nor_predictions():
    figure = draw_ssdp_figure([make_row(predictions=None, gt_label=None)])
    headings = ['image I', 'pattern map P', 'gate', 'mask M',
                'I′  keep:  I ⊙ M']
    assert [text for text in texts(figure) if text[0].isalpha()] == headings


@pytest.mark.parametrize('mask', [
    np.ones((24, 32), dtype=bool),
    np.linspace(0, 1, 24 * 32, dtype=np.float32).reshape(24, 32)
])
def test_full_soft_and_constant_maps_are_drawn(mask):
    figure_pixels(draw_ssdp_figure(
        [make_row(mask=mask, pattern=np.ones((3, 4)))]))


def test_no_row():
    with pytest.raises(ValueError, match='at least one'):
        draw_ssdp_figure([])
