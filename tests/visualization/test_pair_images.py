import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from csd_mmpretrain.evaluation.confusion_pairs import ConfusedPair
from csd_mmpretrain.evaluation.predictions import Predictions
from csd_mmpretrain.visualization.pair_images import draw_pairs

CLASSES = ['a $', 'b $', 'c']


@pytest.fixture
def predictions(tmp_path):
    """Six images of three shapes, whose color tells their index."""
    for index, size in enumerate([(5, 9), (7, 4), (6, 6)] * 2):
        Image.new('RGB', size, (10 * index, 0, 0)).save(
            tmp_path / f'{index}.png')
    scores = np.array([[.2, .7, .1], [.1, .9, 0], [.9, .1, 0],
                       [.1, .8, .1], [.6, .4, 0], [0, .1, .9]])
    return Predictions(
        scores=scores,
        labels=np.array([0, 0, 0, 1, 1, 2]),
        paths=[str(tmp_path / f'{index}.png') for index in range(6)])


def shown(figure):
    return [int(axes.images[0].get_array()[0, 0, 0]) // 10
            for axes in figure.axes if axes.images]


def test_the_surest_errors_are_beside_the_other_class(predictions):
    pairs = [ConfusedPair(0, 1, 2, 3, 1), ConfusedPair(1, 0, 1, 2, 0)]
    references = {0: [predictions.paths[5]]}
    figure = draw_pairs(pairs, predictions, CLASSES, references)
    assert shown(figure) == [1, 0, 3, 4, 4, 5]
    texts = [text.get_text().replace('\n', ' ')
             for text in figure.findobj(Text)]
    assert {'90% against 10%', '70% against 20%', 'b $'} < set(texts)
    assert any(text.startswith('a $   taken for   b $:') for text in texts)
    figure = draw_pairs(pairs, predictions, CLASSES, references, 1)
    assert shown(figure) == [1, 3, 4, 5]


def test_nothing_to_draw(predictions):
    with pytest.raises(ValueError, match='no image to draw'):
        draw_pairs([], predictions, CLASSES, {})
    predictions.paths[1] = 'gone.png'
    with pytest.raises(FileNotFoundError, match='give a checkpoint'):
        draw_pairs([ConfusedPair(0, 1, 2, 3, 0)], predictions, CLASSES, {})
