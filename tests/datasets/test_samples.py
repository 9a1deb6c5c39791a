"""Files and labels behind plain and wrapped datasets."""
import numpy as np
import pytest
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS
from torch.utils.data import Subset, TensorDataset

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.datasets.samples import list_samples, source_datasets


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture
def custom(tmp_path):
    """A config of a CustomDataset with 6 files of 3 classes."""
    lines = [f'{i}.png {i // 2}' for i in range(6)]
    (tmp_path / 'train.txt').write_text('\n'.join(lines))
    return dict(type='CustomDataset', data_root=str(tmp_path),
                ann_file='train.txt', data_prefix='images')


def test_plain(custom, tmp_path):
    samples = list_samples(DATASETS.build(custom))
    assert [sample.label for sample in samples] == [0, 0, 1, 1, 2, 2]
    assert samples[5].path == str(tmp_path / 'images' / '5.png')


@pytest.mark.parametrize('wrapper, labels', [
    (dict(type='RepeatDataset', times=50), [0, 0, 1, 1, 2, 2]),
    (dict(type='ClassBalancedDataset', oversample_thr=0.5),
     [0, 0, 1, 1, 2, 2]),
    (dict(type='KFoldDataset', num_splits=3, fold=0), [1, 1, 2, 2]),
    (dict(type='KFoldDataset', num_splits=3, fold=0, test_mode=True), [0, 0]),
])
def test_wrapped(custom, wrapper, labels):
    dataset = DATASETS.build(dict(wrapper, dataset=custom))
    dataset.full_init()
    assert [sample.label for sample in list_samples(dataset)] == labels


def test_wrapped_more_than_once(custom):
    repeated = dict(type='RepeatDataset', times=2, dataset=custom)
    dataset = DATASETS.build(
        dict(type='ConcatDataset', datasets=[repeated, custom]))
    assert len(list(source_datasets(dataset))) == 2
    assert len(list_samples(dataset)) == 12
    assert len(list_samples(Subset(dataset, [0]))) == 12


@pytest.mark.parametrize('load', [
    dict(backend_args=dict(backend='petrel')),
    dict(backend_args=dict(backend='http')),
])
def test_files_of_other_backends_have_no_path(custom, load):
    custom['pipeline'] = [dict(type='LoadImageFromFile', **load)]
    samples = list_samples(DATASETS.build(custom))
    assert {sample.path for sample in samples} == {None}
    assert len(samples) == 6


def test_local_backend_and_addresses(custom, tmp_path):
    custom['pipeline'] = [dict(type='LoadImageFromFile',
                               backend_args=dict(backend='local'))]
    assert all(s.path for s in list_samples(DATASETS.build(custom)))
    (tmp_path / 'train.txt').write_text('s3://bucket/leaf.png 0')
    custom['data_prefix'] = ''
    custom['data_root'] = ''
    custom['ann_file'] = str(tmp_path / 'train.txt')
    assert list_samples(DATASETS.build(custom))[0].path is None


def test_datasets_that_have_no_files():
    assert list_samples(TensorDataset()) == []
    images = np.zeros((3, 2, 2), np.uint8)

    class InMemory(TensorDataset):

        def __len__(self):
            return 3

        def get_data_info(self, index):
            return dict(img=images[index], gt_label=np.int64(index))

    samples = list_samples(InMemory())
    assert [sample.path for sample in samples] == [None] * 3
    assert [int(sample.label) for sample in samples] == [0, 1, 2]
