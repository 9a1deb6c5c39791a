"""Novel classes without labels, for any dataset."""
import pytest
from mmpretrain.registry import DATASETS
from noise_images import write_noise_images

from csd_mmpretrain.datasets.samples import list_infos, list_samples


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    write_noise_images(root, 3, size=8, classes=5)
    return dict(
        type='CustomDataset', data_root=str(root),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')])


@pytest.fixture(scope='module')
def unlabelled(tmp_path_factory):
    root = tmp_path_factory.mktemp('unlabelled')
    write_noise_images(root, 4, size=8, classes=1)
    return dict(type='CustomDataset', data_root=str(root), with_label=False,
                pipeline=[])


def build(dataset, known='even', **options):
    return DATASETS.build(dict(
        type='NovelClasses', dataset=dataset, known=known, **options))


@pytest.mark.parametrize('serialize', [True, False])
def test_known_photos_come_first_and_novel_ones_have_no_label(photos,
                                                              serialize):
    part = build(dict(photos, serialize_data=serialize))
    assert part.metainfo['classes'] == (
        'class0', 'class2', 'class4', 'novel-0', 'novel-1')
    assert part.metainfo['num_known'] == 3
    assert 'novel_classes' not in part.metainfo
    assert len(part) == 15
    samples = list_samples(part)
    for sample in samples[:9]:
        assert f'/class{2 * sample.label}/' in sample.path
    for index, sample in enumerate(samples[9:], 9):
        assert '/class1/' in sample.path or '/class3/' in sample.path
        assert set(part.get_data_info(index)) == {'img_path', 'sample_idx'}
        packed = part[index]['data_samples']
        assert 'gt_label' not in packed
        assert set(packed.all_keys()) <= {
            'sample_idx', 'img_path', 'ori_shape', 'img_shape', 'scale_factor',
            'flip', 'flip_direction'}


def test_an_evaluation_has_all_labels(photos):
    part = build(photos, hide=False)
    assert part.metainfo['novel_classes'] == ('class1', 'class3')
    names = ('class0', 'class2', 'class4', 'class1', 'class3')
    for sample in list_samples(part):
        assert f'/{names[sample.label]}/' in sample.path
    assert part.metainfo['classes'] == build(photos).metainfo['classes']


def test_other_hidden_labels_give_the_same_data(photos, tmp_path):
    """Labels of novel classes are swapped in the list of images."""
    names = [f'class{label}/{i}.png' for label in range(5) for i in range(3)]
    found = []
    for swap in ({}, {1: 3, 3: 1}):
        path = tmp_path / f'{len(swap)}.txt'
        path.write_text(''.join(
            f'{name} {swap.get(i // 3, i // 3)}\n'
            for i, name in enumerate(names)))
        found.append(list_infos(build(dict(
            photos, ann_file=str(path),
            classes=[f'class{i}' for i in range(5)]))))
    assert found[0] == found[1]


def test_order_and_names_of_novel_classes(photos):
    part = build(photos, known=['class4', 0], novel=['class3', 1],
                 num_novel=4, hide=False)
    assert part.metainfo['classes'] == (
        'class4', 'class0', 'novel-0', 'novel-1', 'novel-2', 'novel-3')
    assert part.metainfo['novel_classes'] == ('class3', 'class1')
    assert len(part) == 12
    assert len(build(photos, num_novel=1).metainfo['classes']) == 5


def test_a_folder_without_labels_joins(photos, unlabelled):
    part = build([photos, unlabelled], known='all', num_novel=2)
    labels = [sample.label for sample in list_samples(part)]
    assert len(labels) == 19 and labels.count(None) == 4
    assert part.metainfo['classes'][5:] == ('novel-0', 'novel-1')
    assert part.pipeline.transforms  # that of the labelled one
    assert len(build([unlabelled, photos])) == 19


def test_refusals(photos, unlabelled):
    for options, error in (
            (dict(novel=['class0', 'class1']), 'class0 would be known and'),
            (dict(known='all'), 'no image of a novel class'),
            (dict(known=['class9']), 'NovelClasses: known has class9'),
            (dict(novel=[7]), 'NovelClasses: novel has 7'),
            (dict(dataset=[unlabelled]), '1 of 1 datasets have no labels'),
            (dict(dataset=[photos, unlabelled], hide=False),
             '1 of 2 datasets have no labels.*hide=False')):
        with pytest.raises(ValueError, match=error):
            build(**dict(dict(dataset=photos), **options))
    repeated = dict(type='RepeatDataset', times=2, dataset=photos)
    with pytest.raises(TypeError, match='RepeatDataset is a wrapper'):
        build(repeated)


def test_a_sampler_by_classes_is_refused(photos):
    from mmpretrain.registry import DATA_SAMPLERS
    with pytest.raises(ValueError, match='PKSampler.*without a label'):
        DATA_SAMPLERS.build(dict(
            type='PKSampler', dataset=build(photos), num_classes=2,
            num_images=2))
