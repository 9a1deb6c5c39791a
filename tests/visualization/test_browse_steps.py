import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.visualization.browse_figure import (
    Entry,
    draw_browse_figure,
)
from csd_mmpretrain.visualization.browse_steps import (
    DatasetBrowser,
    Step,
    _to_rgb,
)
from csd_mmpretrain.visualization.figure_pixels import figure_pixels

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(20, 10)),
    dict(type='RandomFlip', prob=1., direction='horizontal'),
    dict(type='PackInputs'),
]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    random = np.random.RandomState(0)
    for name in ('oak', 'yew'):
        (root / name).mkdir()
        for index in range(3):
            pixels = random.randint(0, 256, (16, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f'{index}.png')
    return root


def make_config(root, pipeline=PIPELINE, **wrapper):
    dataset = dict(type='CustomDataset', data_root=str(root),
                   pipeline=pipeline)
    if wrapper:
        dataset = dict(wrapper, dataset=dataset)
    return Config(dict(train_dataloader=dict(dataset=dataset)))


@pytest.mark.parametrize('wrapper', [
    dict(),
    dict(type='RepeatDataset', times=2),
    dict(type='KFoldDataset', fold=0, num_splits=2, seed=0),
])
def test_each_step_is_recorded_in_rgb(root, wrapper):
    browser = DatasetBrowser(make_config(root, **wrapper), 'train')
    assert list(browser.classes) == ['oak', 'yew']
    for index in browser.choose(2):
        seen = browser.load(index)
        assert [step.name for step in seen.steps] == [
            'Original', 'Resize', 'RandomFlip']
        pixels = np.asarray(Image.open(seen.path))
        np.testing.assert_array_equal(seen.steps[0].image, pixels)
        assert seen.steps[1].image.shape == (10, 20, 3)
        np.testing.assert_array_equal(seen.steps[2].image,
                                      seen.steps[1].image[:, ::-1])
        np.testing.assert_array_equal(
            seen.packed['inputs'].permute(1, 2, 0).numpy()[..., ::-1],
            seen.steps[2].image)
        assert seen.label == [browser.classes.index(
            seen.path.split('/')[-2])]


def test_all_views_of_an_image_are_what_the_model_gets(root):
    views = dict(type='MultiView', num_views=[2, 1], transforms=[
        [dict(type='Resize', scale=(8, 8))],
        [dict(type='Resize', scale=(4, 4))]])
    pipeline = [PIPELINE[0], views, dict(type='PackInputs')]
    seen = DatasetBrowser(make_config(root, pipeline), 'train').load(0)
    assert [step.name for step in seen.steps] == [
        'Original', 'MultiView 1', 'MultiView 2', 'MultiView 3']
    assert [(step.name, step.image.shape) for step in seen.transformed] == [
        ('transformed 1', (8, 8, 3)), ('transformed 2', (8, 8, 3)),
        ('transformed 3', (4, 4, 3))]
    seen = DatasetBrowser(make_config(root), 'train').load(0)
    assert [step.name for step in seen.transformed] == ['transformed']


def test_the_images_are_spread(root):
    browser = DatasetBrowser(make_config(root), 'train')
    assert browser.choose(2) == [1, 4]
    assert browser.choose(100) == list(range(6))


def test_no_such_data(root):
    with pytest.raises(ValueError, match='no val_dataloader'):
        DatasetBrowser(make_config(root), 'val')


@pytest.mark.parametrize('image', [
    np.zeros((4, 6), np.uint8),
    np.zeros((4, 6, 1), np.uint8),
    np.random.randn(4, 6, 3).astype(np.float32),
    np.random.rand(4, 6, 3) * 255,
    torch.rand(3, 4, 6),
    torch.zeros(3, 4, 6),
    Image.new('L', (6, 4)),
])
def test_any_image_can_be_drawn(image):
    for order in ('BGR', 'RGB'):
        pixels = _to_rgb(image, order)
        assert pixels.shape == (4, 6, 3) and pixels.dtype == np.uint8


@pytest.mark.parametrize('count, columns', [(1, 1), (5, 3), (2, 8)])
def test_a_sheet_has_every_panel(count, columns):
    steps = [Step('Original', np.zeros((20, 30, 3), np.uint8)),
             Step('Resize', np.full((10, 10, 3), 255, np.uint8))]
    entry = Entry('costs $5', '1.jpg', steps)
    figure = draw_browse_figure([entry] * count, columns)
    assert len(figure.axes) == 2 * count
    shapes = [ax.images[0].get_array().shape for ax in figure.axes]
    assert shapes == [(20, 30, 3), (10, 10, 3)] * count
    found = [text.get_text() for text in figure.texts]
    assert found.count('costs $5   1.jpg') == count
    assert found.count('Original  30×20') == count
    assert figure_pixels(figure, 20).ndim == 3


def test_the_class_goes_before_the_file():
    steps = [Step('Original', np.zeros((20, 20, 3), np.uint8))]
    entries = [Entry('oak', 'long' * 20, steps),
               Entry('a long name of a class' * 3, '1.jpg', steps)]
    found = [text.get_text() for text in draw_browse_figure(entries).texts]
    assert 'oak' in found
    assert any(text.startswith('a long') and text.endswith('…')
               for text in found)


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='no image'):
        draw_browse_figure([])
