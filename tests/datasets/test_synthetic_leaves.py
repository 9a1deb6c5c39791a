"""SyntheticLeaves: the same bytes from the same seed, drawn once."""
import json
import os
from multiprocessing import get_context

import cv2
import numpy as np
import pytest
from mmpretrain.registry import DATASETS

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.datasets import Cotton80, SyntheticLeaves
from csd_mmpretrain.datasets.leaf_drawing import breed_cultivars, draw_leaf

SMALL = dict(num_classes=3, train_per_class=2, test_per_class=1,
             image_size=48)


@pytest.fixture(scope='module')
def leaves(tmp_path_factory):
    root = tmp_path_factory.mktemp('drawn') / 'leaves'
    SyntheticLeaves(str(root), **SMALL)
    return root


def draw(root):
    return len(SyntheticLeaves(str(root), **SMALL))


def files_of(root):
    return {path.relative_to(root): path.read_bytes()
            for path in root.rglob('*') if path.is_file()}


def test_format_is_that_of_cotton80(leaves):
    assert (leaves / 'anno' / 'train.txt').read_text() == (
        '1_1_train.png 1\n1_2_train.png 1\n2_1_train.png 2\n'
        '2_2_train.png 2\n3_1_train.png 3\n3_2_train.png 3\n')
    assert (leaves / 'anno' / 'test.txt').read_text() == (
        '1_3_test.png 1\n2_3_test.png 2\n3_3_test.png 3\n')
    assert len(list((leaves / 'images').iterdir())) == 9
    assert cv2.imread(
        str(leaves / 'images' / '3_3_test.png')).shape == (48, 48, 3)
    assert len(Cotton80(str(leaves), split='train')) == 6


def test_reads_like_the_others(leaves):
    pipeline = [dict(type='LoadImageFromFile')]
    train = DATASETS.build(
        dict(type='SyntheticLeaves', data_root=str(leaves), split='train',
             pipeline=pipeline, **SMALL))
    test = SyntheticLeaves(str(leaves), split='test', **SMALL)
    assert train.get_gt_labels().tolist() == [0, 0, 1, 1, 2, 2]
    assert test.get_gt_labels().tolist() == [0, 1, 2]
    assert train.CLASSES == ('1', '2', '3')
    assert train[0]['img'].shape == (48, 48, 3)
    lazy = SyntheticLeaves(str(leaves.parent / 'no'), lazy_init=True, **SMALL)
    assert lazy.CLASSES == train.CLASSES
    assert not (leaves.parent / 'no').exists()


def test_bits_follow_from_the_seed(leaves, tmp_path):
    again, other = tmp_path / 'deep' / 'again', tmp_path / 'other'
    again.mkdir(parents=True)
    SyntheticLeaves(str(again), **SMALL)
    SyntheticLeaves(str(other), seed=1, **SMALL)
    assert files_of(again) == files_of(leaves)
    for name, content in files_of(other).items():
        if name.suffix != '.txt':
            assert content != files_of(leaves)[name]


def test_images_of_a_class_differ(leaves):
    images = [content for name, content in files_of(leaves).items()
              if name.suffix == '.png']
    assert len(set(images)) == 9


def test_what_a_cultivar_fixes_and_what_varies():
    cultivars = breed_cultivars(20, seed=0)
    assert len(set(cultivars)) == 20
    assert cultivars == breed_cultivars(20, seed=0)
    for one in cultivars:
        assert one.lobes in (3, 5, 7)
        assert one.lobe_angles[-1] < np.pi
    same = [draw_leaf(cultivars[c], 64, np.random.default_rng(5))
            for c in (0, 1)]
    corner = np.abs(same[0][:4, :4].astype(int) - same[1][:4, :4])
    assert corner.max() <= 2, 'light and paper do not tell the cultivar'
    assert np.abs(same[0].astype(int) - same[1]).max() > 50


def test_leaf_is_in_the_picture():
    for cultivar in breed_cultivars(8, seed=3):
        image = draw_leaf(cultivar, 96, np.random.default_rng(1)).astype(int)
        green = image[..., 1] - np.maximum(image[..., 0], image[..., 2]) > 20
        assert 0.1 < green.mean() < 0.75
        assert green[30:66, 30:66].mean() > 0.5


def test_other_arguments_are_an_error(leaves):
    with pytest.raises(ValueError) as error:
        SyntheticLeaves(str(leaves), **dict(SMALL, seed=4, num_classes=5))
    for part in (str(leaves), 'num_classes=3, seed=0', 'expected',
                 'num_classes=5, seed=4', 'delete the folder'):
        assert part in str(error.value)


@pytest.mark.parametrize('record', [None, '{', '[]', '{"seed": 0}'])
def test_a_folder_of_another_origin_is_left_alone(tmp_path, record):
    (tmp_path / 'images').mkdir()
    if record:
        (tmp_path / 'leaves.json').write_text(record)
    before = files_of(tmp_path)
    with pytest.raises(ValueError, match='delete the folder'):
        SyntheticLeaves(str(tmp_path), **SMALL)
    assert files_of(tmp_path) == before


@pytest.mark.parametrize('name, value', [
    ('num_classes', 1), ('train_per_class', 0), ('test_per_class', -1),
    ('image_size', 8), ('image_size', 96.5), ('seed', -1)
])
def test_bad_numbers(tmp_path, name, value):
    with pytest.raises(ValueError, match=f'{name}={value}.*expected'):
        SyntheticLeaves(str(tmp_path / 'leaves'), **{name: value})


def test_cannot_write(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError):
        SyntheticLeaves(str(tmp_path / 'file' / 'leaves'), **SMALL)
    if os.getuid():
        (tmp_path / 'locked').mkdir(mode=0o500)
        with pytest.raises(PermissionError, match='CSD_DATA_ROOT'):
            SyntheticLeaves(str(tmp_path / 'locked' / 'leaves'), **SMALL)


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr('csd_mmpretrain.datasets.synthetic_leaves.draw_leaf',
                        lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        SyntheticLeaves(str(tmp_path / 'leaves'), **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_several_processes_at_once(leaves, tmp_path):
    with get_context('fork').Pool(3) as pool:
        lengths = pool.map(draw, [tmp_path / 'leaves'] * 3, chunksize=1)
    assert lengths == [6, 6, 6]
    assert files_of(tmp_path / 'leaves') == files_of(leaves)
    assert [path.name for path in tmp_path.iterdir()] == ['leaves']
    record = json.loads((tmp_path / 'leaves' / 'leaves.json').read_text())
    assert record['num_classes'] == 3
