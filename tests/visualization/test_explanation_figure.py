import numpy as np
import pytest
from explanations import make_explanation, make_patch
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from csd_mmpretrain.visualization.explanation_figure import (
    explanation_figure,
    prototype_page,
)


def texts(figure):
    return [text.get_text().replace('\n', ' ')
            for text in figure.findobj(Text)]


def panels(figure):
    """Pixels of the images, and the corners of their boxes."""
    return [(axes.images[0].get_array(), [
        (*box.get_xy(), *(box.get_xy() + np.array(
            [box.get_width(), box.get_height()])))
        for box in axes.patches if isinstance(box, Rectangle)
    ]) for axes in figure.axes if axes.images]


@pytest.mark.parametrize('reasons, prototypes', [(1, 1), (3, 2), (6, 5)])
def test_each_reason_is_a_row(reasons, prototypes):
    figure = explanation_figure(make_explanation(reasons, prototypes))
    found = texts(figure)
    names = [text for text in found if '. channel' in text]
    assert names == [f'{i + 1}. channel {i}' for i in range(reasons)]
    for i in range(reasons):
        assert f'× weight {4 - i:.3f}' in found
        assert f'= {2 - i / 2:+.3f} points' in found
        for j in range(prototypes):
            assert f'{i}_{j}.jpg' in found
    total = sum(2 - i / 2 for i in range(reasons))
    sums = ' '.join(found)
    assert (f'{total:.3f} (the reasons shown) -0.250 (all else) = '
            f'{total - 0.25:.3f} (the logit)') in sums
    assert '<i>Pear $5 (87.3%), in truth R&D apple' in found
    shown = panels(figure)
    box = (8, 5, 24, 15)
    assert [boxes for _, boxes in shown] == [
        [box] * reasons, *[[box], [], [], *[[box]] * prototypes] * reasons]
    # A part is cut out of its photo and enlarged to it.
    cut = shown[2][0]
    assert cut.shape[:2] == (25, 40) and (cut == 100).all()


def test_a_class_activation_map_is_drawn_beside_the_photo():
    cam = np.linspace(0, 1, 1200).reshape(30, 40)
    figure = explanation_figure(make_explanation(), cam)
    second = figure.axes[1]
    np.testing.assert_array_equal(second.images[1].get_array(), cam)
    assert 'Grad-CAM, scaled' in texts(figure)


def test_what_is_not_known_is_not_written():
    explanation = make_explanation(true_class='', prototypes=0)
    found = texts(explanation_figure(explanation))
    assert '<i>Pear $5 (87.3%)' in found
    assert 'looks like' not in found
    explanation = make_explanation(true_class='<i>Pear $5')
    assert any('which is right' in text
               for text in texts(explanation_figure(explanation)))


def test_prototype_page():
    patches = [make_patch(10 * i, f'{i}.jpg') for i in range(5)]
    patches[4].heat = None
    figure = prototype_page('Class pear', patches,
                            [f'prototype {i}' for i in range(5)])
    found = texts(figure)
    assert 'Class pear' in found
    for i in range(5):
        assert f'prototype {i}' in found and f'{i}.jpg' in found
    shown = panels(figure)[:10]
    assert [len(boxes) for _, boxes in shown] == [0, 1] * 5
    for i in range(5):
        assert (shown[2 * i][0] == 10 * i).all()


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="'photos/a <b>.jpg'.*no reason"):
        explanation_figure(make_explanation(0))
    with pytest.raises(ValueError, match='no image to draw'):
        prototype_page('Class pear', [], [])
