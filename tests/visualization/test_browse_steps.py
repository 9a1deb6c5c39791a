import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.visualization.browse_steps import DatasetBrowser, _to_rgb

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
    for index in (1, len(browser.dataset) - 2):
        seen = browser.load(index)
        assert [step.name for step in seen.steps] == [
            'Original', 'Resize', 'RandomFlip']
        pixels = np.asarray(Image.open(seen.path))
        (original, ), (resized, ), (flipped, ) = [
            step.images for step in seen.steps]
        np.testing.assert_array_equal(original, pixels)
        assert resized.shape == (10, 20, 3)
        np.testing.assert_array_equal(flipped, resized[:, ::-1])
        np.testing.assert_array_equal(
            seen.packed['inputs'].permute(1, 2, 0).numpy()[..., ::-1],
            flipped)
        assert seen.label == [browser.classes.index(
            seen.path.split('/')[-2])]


def test_all_views_of_an_image_are_recorded(root):
    views = dict(type='MultiView', num_views=[2, 1], transforms=[
        [dict(type='Resize', scale=(8, 8))],
        [dict(type='Resize', scale=(4, 4))]])
    pipeline = [PIPELINE[0], views, dict(type='PackInputs')]
    seen = DatasetBrowser(make_config(root, pipeline), 'train').load(0)
    assert [(step.name, [image.shape for image in step.images])
            for step in seen.steps] == [
        ('Original', [(16, 12, 3)]),
        ('MultiView', [(8, 8, 3), (8, 8, 3), (4, 4, 3)])]


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
