import numpy as np
import pytest
import torch
from PIL import Image

from csd_mmpretrain.visualization.figure_pixels import figure_pixels
from csd_mmpretrain.visualization.retrieval_figure import (
    RetrievalRow,
    RetrievedImage,
    draw_retrieval,
)
from csd_mmpretrain.visualization.retrieval_rows import retrieval_rows

# Angles in degrees: four training images, then five of the test.
ANGLES = torch.tensor([0., 40, 100, 170, 2, 44, 46, 90, 130])
LABELS = torch.tensor([0, 0, 1, 1, 0, 1, 0, 1, 1])


@pytest.fixture(scope='module')
def paths(tmp_path_factory):
    """Files whose colour tells their index."""
    root = tmp_path_factory.mktemp('images')
    for index in range(len(ANGLES)):
        Image.new('RGB', (12, 20), (10 * index, 0, 0)).save(
            root / f'{index}.png')
    return [str(root / f'{index}.png') for index in range(len(ANGLES))]


def rows_of(paths, protocol, **options):
    radians = ANGLES.deg2rad()
    features = 3 * torch.stack([radians.cos(), radians.sin()], 1)
    rows = retrieval_rows(features, LABELS, paths, 4, protocol,
                          ['apple', 'pear'], **options)
    found = []
    for row in rows:
        query = int(row.query[0, 0, 0]) // 10
        assert row.name == ['apple', 'pear'][LABELS[query]]
        items = [int(item.image[0, 0, 0]) // 10 for item in row.found]
        for index, item in zip(items, row.found):
            assert item.right == bool(LABELS[index] == LABELS[query])
            angle = (ANGLES[index] - ANGLES[query]).deg2rad()
            assert item.cosine == pytest.approx(float(angle.cos()), abs=1e-6)
        found.append((query, items))
    return found


def test_rows_hold_what_the_protocol_says(paths):
    assert rows_of(paths, 'train-gallery', shown=2) == [
        (4, [0, 1]), (5, [1, 0]), (6, [1, 0]), (7, [2, 1]), (8, [2, 3])]
    assert rows_of(paths, 'every-9th') == [(4, [0, 1, 5, 6, 7])]
    assert rows_of(paths, 'leave-one-out', num=2, shown=9) == [
        (5, [6, 4, 7, 8]), (7, [8, 6, 5, 4])]


def test_wrong_ones_first(paths):
    found = rows_of(paths, 'train-gallery', shown=1, wrong_first=True, num=2)
    assert found == [(5, [1]), (4, [0])]


def test_queries_that_can_find_nothing_are_not_wrong(paths):
    features = torch.tensor([[1., 0], [1, 0.1], [1, 0.2], [0, 1]])
    for protocol, labels, queries in (
            ('train-gallery', [0, 1, 2, 1], [3]),
            ('leave-one-out', [0, 0, 1, 0], [1, 3])):
        rows = retrieval_rows(
            features, torch.tensor(labels), paths[:4],
            2 if protocol == 'train-gallery' else 1, protocol,
            wrong_first=True)
        found = [int(row.query[0, 0, 0]) // 10 for row in rows]
        assert sorted(found) == queries


def test_an_image_without_a_file(paths):
    with pytest.raises(FileNotFoundError, match='dataset names none'):
        rows_of(['', *paths[1:]], 'train-gallery')


def test_right_and_wrong_differ_in_grey():
    image = np.full((10, 10, 3), 255, np.uint8)
    right, wrong = (
        figure_pixels(
            draw_retrieval([
                RetrievalRow(image, 'apple',
                             [RetrievedImage(image, 'apple', 0.5, hit)])
            ], 'Retrieval, train-gallery')) for hit in (True, False))
    grey = np.array([0.299, 0.587, 0.114])
    assert np.abs((right - wrong.astype(float)) @ grey).max() > 60
    with pytest.raises(ValueError, match='no query to draw'):
        draw_retrieval([], '')
