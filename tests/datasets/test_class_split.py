"""Parts of a dataset's classes, and the check that the unseen stay so."""
import numpy as np
import pytest
from mmengine.dataset import ClassBalancedDataset
from mmpretrain.registry import DATASETS
from noise_images import write_noise_images

from csd_mmpretrain.datasets.class_split import ClassSplit, choose_classes
from csd_mmpretrain.datasets.same_classes import (
    compare_classes,
    is_unseen,
)
from csd_mmpretrain.datasets.samples import list_samples

NAMES = [f'class{i}' for i in range(7)]


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    write_noise_images(root, 3, size=8, classes=7)
    return dict(
        type='CustomDataset',
        data_root=str(root),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')])


@pytest.mark.parametrize('classes, expected', [
    ('first-half', [0, 1, 2, 3]), ('last-half', [4, 5, 6]),
    ('even', [0, 2, 4, 6]), ('odd', [1, 3, 5]), ([5, 2], [5, 2]),
    (['class6', 0], [6, 0]), (np.array([3]), [3])])
@pytest.mark.parametrize('serialize', [True, False])
def test_takes_and_renumbers(dataset, classes, expected, serialize):
    whole = DATASETS.build(dict(dataset, serialize_data=serialize))
    before = [sample.path for sample in list_samples(whole)]
    part = ClassSplit(whole, classes)
    assert part.CLASSES == tuple(f'class{i}' for i in expected)
    assert part.pipeline is whole.pipeline and not is_unseen(part)
    assert len(part) == 3 * len(expected)
    for index, sample in enumerate(list_samples(part)):
        assert f'/class{expected[sample.label]}/' in sample.path
        assert part.get_cat_ids(index) == [sample.label]
        packed = part[index]['data_samples']
        assert packed.gt_label.item() == sample.label
        assert packed.sample_idx == index and packed.img_path == sample.path
    # The whole is as it was.
    assert [sample.path for sample in list_samples(whole)] == before
    assert list(whole.CLASSES) == NAMES
    assert 'unseen_classes' not in whole.metainfo


def test_a_file_of_names(dataset, tmp_path):
    path = tmp_path / 'novel.txt'
    path.write_text('class3\n\n class1 \n')
    part = DATASETS.build(
        dict(type='ClassSplit', dataset=dataset, classes=str(path)))
    assert part.CLASSES == ('class3', 'class1')


def test_a_dataset_without_names_gets_numbers(dataset, tmp_path):
    (tmp_path / 'list.txt').write_text(
        ''.join(f'class{i}/0.png {i}\n' for i in range(6)))
    part = ClassSplit(
        dict(dataset, ann_file=str(tmp_path / 'list.txt')), 'last-half')
    assert part.CLASSES == ('3', '4', '5')


def test_halves_are_apart_and_all(dataset):
    for one, other in (('first-half', 'last-half'), ('even', 'odd')):
        for count in range(2, 9):
            names = NAMES + ['class7']
            parts = [choose_classes(rule, names[:count])
                     for rule in (one, other)]
            assert sorted(sum(parts, [])) == list(range(count))


@pytest.mark.parametrize('type_, options, count', [
    ('CUB', dict(), 200), ('StanfordCars', dict(), 196),
    ('FGVCAircraft', dict(), 100), ('Cotton80', dict(), 80),
    ('SoyLocal', dict(), 200), ('SoyGene', dict(), 1110)])
def test_names_of_the_released_sets(type_, options, count):
    names = DATASETS.get(type_).METAINFO['classes']
    assert len(names) == count
    halves = [choose_classes(rule, names)
              for rule in ('first-half', 'last-half')]
    assert list(map(len, halves)) == [(count + 1) // 2, count // 2]


def test_unseen_classes_are_compared_by_name(dataset):
    seen = ClassSplit(dataset, 'first-half')
    unseen = ClassSplit(dataset, 'last-half', unseen=True)
    assert is_unseen(unseen)
    compare_classes(seen, unseen, 'test')
    compare_classes(seen, ClassSplit(dataset, 'first-half'), 'test')
    with pytest.raises(ValueError, match='2 of its 3 classes are trained on: '
                       'class1, class3.*first-half'):
        compare_classes(seen, ClassSplit(dataset, 'odd', unseen=True), 'test')
    with pytest.raises(ValueError, match=r'ClassSplit\(unseen=True\)'):
        compare_classes(seen, ClassSplit(dataset, 'last-half'), 'test')


def test_errors(dataset):
    for classes, error in (
            ('third', "'third' is neither one of all, first-half"),
            ([0, 'class9'], r'classes has class9.*7 classes'),
            ([7], 'classes has 7'), ([-1], 'classes has -1'),
            ([1, 'class1'], 'names class1 more than once'),
            ([], 'leaves none of the 7 classes')):
        with pytest.raises((ValueError, FileNotFoundError), match=error):
            ClassSplit(dataset, classes)
    wrapped = ClassBalancedDataset(DATASETS.build(dataset), 1e-3)
    with pytest.raises(TypeError, match='around CustomDataset itself'):
        ClassSplit(wrapped, 'odd')
    with pytest.raises(ValueError, match='has not one class number'):
        ClassSplit(dict(dataset, with_label=False), 'odd')
    few = ClassSplit(dataset, [0, 1])
    few.get_subset_([0, 1, 2])
    with pytest.raises(ValueError, match='no image of the 1 chosen classes'):
        ClassSplit(few, [1])


def test_the_splits_of_a_release_are_joined(dataset, tmp_path):
    other = tmp_path / 'other'
    other.mkdir()
    write_noise_images(other, 2, size=8, classes=7)
    part = ClassSplit([dataset, dict(dataset, data_root=str(other))], [6, 1])
    paths = [sample.path for sample in list_samples(part)]
    assert len(paths) == len(set(paths)) == 2 * (3 + 2)
    assert part.get_gt_labels().tolist() == [1] * 3 + [0] * 3 + [1] * 2 + [
        0] * 2
    assert part[9]['data_samples'].sample_idx == 9
    (other / 'class0').rename(other / 'new')
    with pytest.raises(ValueError, match='only the training data has class0'):
        ClassSplit([dataset, dict(dataset, data_root=str(other))], [6, 1])
