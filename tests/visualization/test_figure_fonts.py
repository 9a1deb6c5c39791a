"""Class names of any language are written, or one warning names them."""
import warnings

import matplotlib
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager

from csd_mmpretrain.visualization import figure_fonts
from csd_mmpretrain.visualization.confusion_figure import draw_confusion
from csd_mmpretrain.visualization.figure_pixels import figure_pixels
from csd_mmpretrain.visualization.image_grid import Panel, draw_grid

NAMES = ['棉花', 'コットン', '목화', 'Café']
OTHERS = ''.join(sorted(set(''.join(NAMES[:3]))))


def draw(names):
    panel = Panel(np.zeros((20, 20, 3), np.uint8),
                  captions=[(name, 'black') for name in names])
    return draw_grid([[panel]])


@pytest.fixture
def no_fallbacks(monkeypatch):
    monkeypatch.setattr(figure_fonts, 'FALLBACKS', ())


@pytest.fixture
def font(tmp_path, monkeypatch):
    """An installed font with full squares for all of the characters."""
    pen = TTGlyphPen(None)
    for step, point in enumerate([(0, 0), (0, 700), (900, 700), (900, 0)]):
        (pen.lineTo if step else pen.moveTo)(point)
    pen.closePath()
    glyphs = ['.notdef', 'square']
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(glyphs)
    builder.setupCharacterMap({ord(letter): 'square' for letter in OTHERS})
    builder.setupGlyf(dict.fromkeys(glyphs, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable(dict(familyName='Squares', styleName='Regular'))
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / 'squares.ttf')
    monkeypatch.setattr(fontManager, 'ttflist', [*fontManager.ttflist])
    fontManager.addfont(tmp_path / 'squares.ttf')
    monkeypatch.setattr(figure_fonts, 'FALLBACKS', ('Gone', 'Squares'))


def test_an_installed_font_is_taken(font):
    before = [*matplotlib.rcParams['font.family']]
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        figure = draw(NAMES)
        pixels = figure_pixels(figure, 100)
    assert matplotlib.rcParams['font.family'] == before
    figure_fonts.FALLBACKS = ()
    with pytest.warns(UserWarning, match='No installed font'):
        boxes = figure_pixels(draw(NAMES), 100)
    assert pixels.shape != boxes.shape or (pixels != boxes).any()


def test_one_warning_names_what_no_font_has(no_fallbacks):
    for figure in (lambda: draw(NAMES),
                   lambda: draw_confusion(np.eye(4, dtype=int), NAMES)):
        with pytest.warns(UserWarning) as told:
            figure_pixels(figure(), 50)
        assert len(told) == 1
        assert f'characters {OTHERS!r}' in str(told[0].message)


def test_other_names_need_no_other_font(no_fallbacks):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        figure_pixels(draw(['Café', 'straße', 'I′ ⊙ (1 − M)', 'plain']), 50)
