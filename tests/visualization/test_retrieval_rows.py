import numpy as np
import pytest
import torch
from matplotlib.text import Text
from PIL import Image

from csd_mmpretrain.visualization.retrieval_rows import (
    draw_retrieval,
    retrieval_rows,
)

# Angles in degrees: four training images, then five of the test.
ANGLES = torch.tensor([0., 40, 100, 170, 2, 44, 46, 90, 130])
LABELS = torch.tensor([0, 0, 1, 1, 0, 1, 0, 1, 1])


@pytest.fixture(scope='module')
def paths(tmp_path_factory):
    """Files whose color tells their index."""
    root = tmp_path_factory.mktemp('images')
    for index in range(len(ANGLES)):
        Image.new('RGB', (12, 20), (10 * index, 0, 0)).save(
            root / f'{index}.png')
    return [str(root / f'{index}.png') for index in range(len(ANGLES))]


def rows_of(protocol, **options):
    radians = ANGLES.deg2rad()
    features = 3 * torch.stack([radians.cos(), radians.sin()], 1)
    rows = retrieval_rows(features, LABELS, 4, protocol, **options)
    for row in rows:
        np.testing.assert_array_equal(
            row.right, LABELS[row.found] == LABELS[row.query])
        angles = (ANGLES[row.found] - ANGLES[row.query]).deg2rad()
        np.testing.assert_allclose(row.cosines, angles.cos(), atol=1e-6)
    return [(row.query, row.found.tolist()) for row in rows]


def test_rows_hold_what_the_protocol_says():
    assert rows_of('train-gallery', shown=2) == [
        (4, [0, 1]), (5, [1, 0]), (6, [1, 0]), (7, [2, 1]), (8, [2, 3])]
    assert rows_of('every-9th') == [(4, [0, 1, 5, 6, 7])]
    assert rows_of('leave-one-out', num=2, shown=9) == [
        (5, [6, 4, 7, 8]), (7, [8, 6, 5, 4])]


def test_wrong_ones_first():
    found = rows_of('train-gallery', shown=1, wrong_first=True, num=2)
    assert found == [(5, [1]), (4, [0])]


def test_queries_that_can_find_nothing_are_not_wrong():
    features = torch.tensor([[1., 0], [1, 0.1], [1, 0.2], [0, 1]])
    for protocol, labels, queries in (
            ('train-gallery', [0, 1, 2, 1], [3]),
            ('leave-one-out', [0, 0, 1, 0], [1, 3])):
        rows = retrieval_rows(
            features, torch.tensor(labels),
            2 if protocol == 'train-gallery' else 1, protocol,
            wrong_first=True)
        assert sorted(row.query for row in rows) == queries


def test_the_figure_shows_what_was_found(paths):
    radians = ANGLES.deg2rad()
    features = torch.stack([radians.cos(), radians.sin()], 1)
    rows = retrieval_rows(features, LABELS, 4, 'train-gallery', 2, shown=2)
    assert [(row.query, list(row.found)) for row in rows] == [
        (5, [1, 0]), (7, [2, 1])]
    figure = draw_retrieval(rows, paths, LABELS, 'Title', ['apple', '$pear'])
    shown = [int(axes.images[0].get_array()[0, 0, 0]) // 10
             for axes in figure.axes if axes.images]
    assert shown == [5, 1, 0, 7, 2, 1]
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert [texts.count(name) for name in ('apple', '$pear')] == [3, 3]
    assert [texts.count(sign) for sign in '✓✗'] == [1, 3]
    assert {'Title', 'query', '1', '2', '0.998'} < set(texts)
    texts = [text.get_text() for text in draw_retrieval(
        rows, paths, LABELS, '').findobj(Text)]
    assert texts.count('class 1') == 3


def test_nothing_to_draw(paths):
    features = torch.eye(len(LABELS))
    rows = retrieval_rows(features, LABELS, 4, 'train-gallery')
    with pytest.raises(FileNotFoundError, match="'' is no file here"):
        draw_retrieval(rows, [''] * len(LABELS), LABELS, '')
    with pytest.raises(ValueError, match='no image to draw'):
        draw_retrieval([], paths, LABELS, '')
