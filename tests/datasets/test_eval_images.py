"""Images of a dataset, whatever it is wrapped in."""
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import RepeatDataset
from PIL import Image

from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.datasets.eval_images import dataset_items, eval_pipeline
from csd_mmpretrain.datasets.samples import list_samples

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


def twice(part, kind='RepeatDataset'):
    return dict(type=kind, times=2, dataset=part)


def concat(*parts):
    return dict(type='ConcatDataset', datasets=[*parts])


@pytest.fixture
def part(tmp_path):
    """Settings of a dataset of three images."""
    for name in 'abc':
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(
            tmp_path / name / '0.png')
    return dict(
        type='CustomDataset', data_root=str(tmp_path), pipeline=PIPELINE)


@pytest.mark.parametrize('wrap, images', [
    (lambda part: part, 3),
    (twice, 3),
    (lambda part: twice(part, 'mmengine.RepeatDataset'), 3),
    (lambda part: twice(part, RepeatDataset), 3),
    (lambda part: dict(
        type='ClassBalancedDataset', oversample_thr=1., dataset=part), 3),
    (lambda part: concat(part, part), 6),
    (lambda part: concat(twice(part), part), 6),
    (lambda part: twice(concat(part, twice(part))), 6),
    (lambda part: dict(type='LabelFraction', fraction=0.1, dataset=part), 3),
    (lambda part: twice(dict(
        type='KFoldDataset', num_splits=3, fold=0, dataset=part)), 2),
    (lambda part: twice(concat(
        dict(type='LabelFraction', fraction=0.1, dataset=part), part)), 6),
    (lambda part: concat(twice(dict(
        type='KFoldDataset', num_splits=3, fold=0, dataset=part)), part), 5),
])
def test_wrapped_datasets(wrap, images, part):
    cfg = Config(
        dict(
            train_dataloader=dict(dataset=wrap(part)),
            test_pipeline=PIPELINE))
    items, classes = dataset_items(cfg, 'train', 9)
    assert len(items) == images
    assert items[0]['inputs'].shape == (3, 8, 9)
    assert list(classes) == ['a', 'b', 'c']

    dataset = build_without_pipeline(wrap(part))
    assert list(dataset.metainfo['classes']) == ['a', 'b', 'c']
    labels = {sample.label for sample in list_samples(dataset)}
    assert len(labels) == min(images, 3)


def test_the_config_has_no_such_data():
    with pytest.raises(ValueError, match='no val_dataloader'):
        dataset_items(Config(dict()), 'val', 9)


def test_the_pipeline_of_a_test_on_several_datasets():

    def part(scale):
        return dict(type='CustomDataset', pipeline=[
            dict(type='Resize', scale=scale)])

    def scale_of(test):
        cfg = Config(dict(val_dataloader=dict(dataset=part(1)),
                          test_dataloader=dict(dataset=test)))
        return eval_pipeline(cfg).transforms[0].scale

    assert scale_of(concat(part(2), twice(part(2)))) == (2, 2)
    with pytest.raises(ValueError, match='different pipelines'):
        scale_of(concat(part(2), part(3)))
