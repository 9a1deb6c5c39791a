"""Predictions of files, and the rows that tell them."""
import os

import numpy as np
import pytest
import torch
from mmengine.config import Config
from noise_images import write_noise_images
from PIL import Image

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.datasets.eval_images import eval_pipeline
from csd_mmpretrain.evaluation.photo_predictions import (
    PhotoScores,
    answer_header,
    answer_rows,
    check_names,
    list_photos,
    score_photos,
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Seven images of three kinds, and three files that are broken."""
    root = write_noise_images(tmp_path_factory.mktemp('photos'), 2)
    image = Image.open(root / 'class0/0.png')
    image.convert('CMYK').save(root / 'ü k.jpg')
    (root / 'empty.png').touch()
    (root / 'text.jpg').write_text('no image')
    whole = (root / 'class0/0.png').read_bytes()
    # The header and the end are right, the pixels are not.
    damaged = bytearray(whole)
    damaged[60:-60] = bytes(len(whole) - 120)
    (root / 'damaged.png').write_bytes(damaged)
    return root


@pytest.mark.parametrize('batch_size, num_workers', [(1, 0), (4, 2), (99, 0)])
def test_scores_are_those_of_one_image_at_a_time(
        tiny_config, folder, batch_size, num_workers):
    cfg = Config.fromfile(tiny_config)
    model = build_bare_model(cfg).eval()
    pipeline = eval_pipeline(cfg)
    paths = [*list_photos(str(folder)), str(folder / 'gone.png')]
    found = score_photos(model, pipeline, paths, batch_size, num_workers)
    assert found.paths == paths
    faults = {os.path.basename(path): fault
              for path, fault in zip(paths, found.faults) if fault}
    assert faults == {'damaged.png': 'damaged', 'empty.png': 'empty',
                      'text.jpg': 'not an image', 'gone.png': 'missing'}
    for path, fault, row in zip(*found[::2], found.scores):
        if fault:
            assert np.isnan(row).all()
            continue
        item = pipeline(dict(img_path=path))
        with torch.no_grad():
            sample, = model.test_step({k: [v] for k, v in item.items()})
        np.testing.assert_allclose(row, sample.pred_score, atol=1e-6)


def test_no_whole_image(tiny_config, folder):
    cfg = Config.fromfile(tiny_config)
    with pytest.raises(ValueError, match=r'None of the 1 files.*\(empty\)'):
        score_photos(build_bare_model(cfg).eval(), eval_pipeline(cfg),
                     [str(folder / 'empty.png')])


def test_lists_and_tables(folder, tmp_path):
    every = list_photos(str(folder))
    assert len(every) == 10
    assert list_photos(every[0]) == every[:1]
    lists = folder / 'list.txt', folder / 'table.csv'
    lists[0].write_text('class0/0.png\r\n\r\ngone.png\n')
    lists[1].write_text('label,path\na,class0/0.png\na,gone.png\n')
    for path in lists:
        assert list_photos(str(path)) == [
            str(folder / 'class0/0.png'), str(folder / 'gone.png')]
        path.unlink()


@pytest.mark.parametrize('name, text, message', [
    ('gone', None, 'There is no'), ('gone.csv', None, 'There is no file'),
    ('a.txt', '\n', 'lists no photo'),
    ('a.csv', 'file\na.png\n', 'no column path')])
def test_bad_sources(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        list_photos(str(tmp_path / name))


def test_odd_names_and_scores_that_are_not_finite(tiny_config, folder):
    cfg = Config.fromfile(tiny_config)
    model = build_bare_model(cfg).eval()
    photos = eval_pipeline(cfg), [str(folder / 'class0/0.png'), 'a\0.png']
    assert score_photos(model, *photos).faults == [
        '', 'cannot be read (embedded null byte)']
    model.head.cls_head.fc.bias.data.fill_(float('inf'))
    with pytest.raises(FloatingPointError, match='0.png. Give another'):
        score_photos(model, *photos)


SCORES = PhotoScores(
    ['a', 'b', 'c'],
    np.array([[.1, .6, .3], [.5, .1, .4], [np.nan] * 3], np.float32),
    ['', '', 'empty'])


def test_rows():
    names = ('x', 'y', 'z')
    rows = [*answer_rows(SCORES, names, 5)]
    assert [','.join(row) for row in rows] == [
        'a,y,y,0.6000,z,0.3000,x,0.1000,', 'b,x,x,0.5000,z,0.4000,y,0.1000,',
        'c,,,,,,,,empty']
    assert [len(answer_header(3))] * 3 == [*map(len, rows)]
    rows = [*answer_rows(SCORES, names, 1, threshold=.55)]
    assert [row[1] for row in rows] == ['y', 'unknown', '']
    # Scores stay those among all classes, and so does the threshold.
    rows = [*answer_rows(SCORES, names, 2, ('z', 'x'), .35)]
    assert rows[0] == ['a', 'unknown', 'z', '0.3000', 'x', '0.1000', '']
    assert rows[1][:4] == ['b', 'x', 'x', '0.5000']


def test_classes_that_the_model_does_not_know():
    check_names(('x', 'y'), None)
    check_names(('x', 'y'), ['y'])
    with pytest.raises(ValueError, match='no class z. It knows 2: x, y'):
        check_names(('x', 'y'), ['y', 'z'])
    with pytest.raises(ValueError, match='of an empty list'):
        check_names(('x', 'y'), [])
