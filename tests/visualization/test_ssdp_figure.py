import io

import numpy as np
import pytest
from PIL import Image

from csd_mmpretrain.visualization import draw_ssdp_figure


def rows(count, height=24, width=32):
    random = np.random.RandomState(0)
    image = random.randint(0, 256, (height, width, 3), dtype=np.uint8)
    pattern = random.rand(3, 4)
    mask = np.zeros((height, width), dtype=bool)
    mask[:12, :16] = True
    return [[value] * count
            for value in (image, pattern, mask, image * mask[..., None])]


def pixels(figure, dpi=50):
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=dpi)
    return np.asarray(Image.open(buffer).convert('RGB'))


@pytest.mark.parametrize('count', [1, 3])
def test_one_row_per_image_four_panels_and_a_bar(count):
    figure = draw_ssdp_figure(*rows(count))
    assert len(figure.axes) == 5 * count
    assert pixels(figure).std() > 10


def test_the_panels_show_the_arrays():
    image, pattern, mask, second = rows(1)
    axes = draw_ssdp_figure(image, pattern, mask, second).axes
    panels = [ax.images[0].get_array() for ax in axes if ax.images]
    heat = [ax.images[1].get_array() for ax in axes if len(ax.images) > 1]
    np.testing.assert_array_equal(panels[0], image[0])
    np.testing.assert_array_equal(heat[0], pattern[0])
    np.testing.assert_array_equal(panels[2], mask[0])
    np.testing.assert_array_equal(panels[3], second[0])


def test_titles_are_written_as_they_are():
    figure = draw_ssdp_figure(*rows(2), titles=['costs $5', 'a_b ^ 50 %'])
    assert {'costs $5', 'a_b ^ 50 %'} <= {t.get_text() for t in figure.texts}
    pixels(figure)


@pytest.mark.parametrize('mask', [
    np.ones((24, 32), dtype=bool),
    np.linspace(0, 1, 24 * 32, dtype=np.float32).reshape(24, 32)
])
def test_full_soft_and_constant_maps_are_drawn(mask):
    image, _, _, second = rows(1)
    pixels(draw_ssdp_figure(image, [np.ones((3, 4))], [mask], second))


def test_pdf_and_nothing_left_in_pyplot(tmp_path):
    draw_ssdp_figure(*rows(1)).savefig(tmp_path / 'ssdp.pdf')
    assert (tmp_path / 'ssdp.pdf').read_bytes().startswith(b'%PDF')
    from matplotlib import pyplot
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize('change', [lambda x: x[:-1], lambda x: []])
def test_lists_of_different_lengths_are_refused(change):
    image, pattern, mask, second = rows(2)
    with pytest.raises(ValueError, match='as many'):
        draw_ssdp_figure(image, pattern, change(mask), second)
    with pytest.raises(ValueError, match='at least one'):
        draw_ssdp_figure([], [], [], [])
