"""Parts of a dataset's labels."""
from collections import Counter

import numpy as np
import pytest
from mmengine.dataset import ClassBalancedDataset
from mmpretrain.registry import DATASETS
from PIL import Image

from csd_mmpretrain.datasets.label_fraction import (
    LabelFraction,
    fraction_indices,
)
from csd_mmpretrain.datasets.samples import list_samples

COUNTS = (1, 2, 5, 10, 33)


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    for label, count in enumerate(COUNTS):
        folder = root / f'class{label}'
        folder.mkdir()
        for index in range(count):
            Image.new('RGB', (8, 8), (label, index, 0)).save(
                folder / f'{index:02}.png')
    return dict(
        type='CustomDataset',
        data_root=str(root),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')])


@pytest.mark.parametrize('fraction, expected', [
    (0.01, (1, 1, 1, 1, 1)), (0.1, (1, 1, 1, 1, 3)), (0.5, (1, 1, 3, 5, 17)),
    (1, COUNTS)])
def test_each_class_has_its_part(dataset, fraction, expected):
    part = DATASETS.build(
        dict(type='LabelFraction', dataset=dataset, fraction=fraction))
    labels = part.get_gt_labels().tolist()
    assert Counter(labels) == dict(enumerate(expected))
    assert len(part) == sum(expected)
    whole = DATASETS.build(dataset)
    assert part.metainfo == whole.metainfo
    assert part.CLASSES == whole.CLASSES
    paths = [sample.path for sample in list_samples(part)]
    assert len(set(paths)) == len(paths)
    for index, path in enumerate(paths):
        info = part.get_data_info(index)
        assert info['img_path'] == path
        assert part.get_cat_ids(index) == [labels[index]]
        assert part[index]['data_samples'].img_path == path
        assert part[index]['data_samples'].gt_label.item() == labels[index]


def test_parts_are_nested_and_seeded():
    labels = np.random.RandomState(0).randint(0, 7, 200)
    parts = [set(fraction_indices(labels, f, 3)) for f in (0.01, 0.2, 0.5, 1)]
    for small, large in zip(parts, parts[1:]):
        assert small < large
    assert parts[1] == set(fraction_indices(labels, 0.2, 3))
    assert parts[1] != set(fraction_indices(labels, 0.2, 4))


@pytest.mark.parametrize('wrapper', [
    lambda part: [dict(type='KFoldDataset', dataset=part, num_splits=2,
                       test_mode=test_mode) for test_mode in (True, False)],
    lambda part: [dict(type='RepeatDataset', dataset=part, times=2)],
    lambda part: [dict(type='ClassBalancedDataset', dataset=part,
                       oversample_thr=1e-3)],
    lambda part: [dict(type='ConcatDataset', datasets=[part])],
])
def test_other_wrappers_go_around_it(dataset, wrapper):
    part = dict(type='LabelFraction', dataset=dataset, fraction=0.5)
    whole = [sample.path for sample in list_samples(DATASETS.build(part))]
    found = []
    for built in map(DATASETS.build, wrapper(part)):
        items = [built[index] for index in range(len(built))]
        found.append({item['data_samples'].img_path for item in items})
    assert sorted(set.union(*found)) == sorted(whole)
    if len(found) == 2:
        assert not set.intersection(*found)


def test_the_whole_stays_whole_and_shares_its_transforms(dataset):
    whole = DATASETS.build(dataset)
    paths = [sample.path for sample in list_samples(whole)]
    for fraction in (0.25, 0.5):
        part = LabelFraction(whole, fraction)
        assert part.pipeline is whole.pipeline
        assert len(part) < len(whole)
    assert [sample.path for sample in list_samples(whole)] == paths


def test_errors(dataset):
    with pytest.raises(ValueError, match='fraction=0 must be'):
        LabelFraction(dataset, 0)
    with pytest.raises(ValueError, match='fraction=10 must be'):
        LabelFraction(dataset, 10)
    with pytest.raises(ValueError, match='has not one class number'):
        LabelFraction(dict(dataset, with_label=False), 0.5)
    wrapped = ClassBalancedDataset(DATASETS.build(dataset), 1e-3)
    with pytest.raises(TypeError, match='around CustomDataset itself'):
        LabelFraction(wrapped, 0.5)
