"""Images of a dataset, whatever it is wrapped in."""
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from csd_mmpretrain.datasets.eval_images import dataset_items

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


@pytest.mark.parametrize('wrap, images', [
    (lambda part: part, 3),
    (lambda part: dict(type='RepeatDataset', times=2, dataset=part), 3),
    (lambda part: dict(type='ConcatDataset', datasets=[part, part]), 6),
    (lambda part: dict(type='LabelFraction', fraction=0.1, dataset=part), 3),
])
def test_wrapped_datasets(wrap, images, tmp_path):
    for name in 'abc':
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(
            tmp_path / name / '0.png')
    part = dict(
        type='CustomDataset', data_root=str(tmp_path), pipeline=PIPELINE)
    cfg = Config(
        dict(
            train_dataloader=dict(dataset=wrap(part)),
            test_pipeline=PIPELINE))
    items, classes = dataset_items(cfg, 'train', 9)
    assert len(items) == images
    assert items[0]['inputs'].shape == (3, 8, 9)
    assert list(classes) == ['a', 'b', 'c']
