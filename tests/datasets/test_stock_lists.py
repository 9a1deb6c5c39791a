"""Lists that mmpretrain's own readers cannot read are named in one line."""
import mat4py
import pytest
from mmengine.config import Config
from mmpretrain.datasets import CUB

from csd_mmpretrain.datasets.data_root import check_dataset_folders

CARS = dict(fname=['a.jpg', 'b.jpg'])


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        mat4py.savemat(str(path), content)
    else:
        path.write_bytes(content)


@pytest.fixture
def check(tmp_path):
    write(tmp_path / 'images.txt', b'1 a/b.jpg\n2 a/c.jpg\n')
    write(tmp_path / 'image_class_labels.txt', b'1 1\n2 200\n')
    write(tmp_path / 'train_test_split.txt', b'1 1\n2 0\n')
    write(tmp_path / 'data/images_variant_train.txt', b'001 DC-10\n')
    write(tmp_path / 'devkit/cars_train_annos.mat',
          dict(annotations={**CARS, 'class': [1, 2]}))

    def check(kind):
        check_dataset_folders(Config(dict(
            default_scope='mmpretrain',
            train_dataloader=dict(dataset=dict(
                type='RepeatDataset', times=2, dataset=dict(
                    type=kind, data_root=str(tmp_path)))))))

    return check


KINDS = ('CUB', CUB, 'mmpretrain.CUB', 'FGVCAircraft', 'StanfordCars')


def test_good_lists(check):
    for kind in KINDS:
        check(kind)


@pytest.mark.parametrize('kind, name, content, message', [
    ('CUB', 'images.txt', b'1 a/b.jpg\n\n', 'line 2: is blank'),
    (CUB, 'images.txt', b'1 a/b c.jpg\n', "line 1: found '1 a/b c.jpg'"),
    ('CUBObjects', 'images.txt', b'x a.jpg\n', "'<image id> <path>'"),
    ('mmpretrain.CUB', 'image_class_labels.txt', b'1 1\n2 1.5\n', "'2 1.5'"),
    ('CUB', 'image_class_labels.txt', b'1 0\n2 1\n', 'class id from 1'),
    ('CUB', 'train_test_split.txt', b'1 1\n2 yes\n', 'line 2: .* else 0'),
    ('CUB', 'train_test_split.txt', b'1 1\n', 'CUB cannot read .*same'),
    ('CUB', 'images.txt', None, "no file '.*images.txt'"),
    ('FGVCAircraft', 'data/images_variant_train.txt', b'001\n', "found '001'"),
    ('FGVCAircraft', 'data/images_variant_train.txt', b'1 Kite\n', 'variant'),
    ('StanfordCars', 'devkit/cars_train_annos.mat', b'no', 'StanfordCars can'),
    ('StanfordCarsObjects', 'devkit/cars_train_annos.mat',
     dict(annotations=CARS), "KeyError: 'class'"),
    ('StanfordCars', 'devkit/cars_train_annos.mat', None, 'incorrectly org'),
])
def test_bad_lists(check, tmp_path, kind, name, content, message):
    if content is None:
        (tmp_path / name).unlink()
    else:
        write(tmp_path / name, content)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as e:
        check(kind)
    assert len(str(e.value).splitlines()) == 1
    assert 'again' in str(e.value) or content is None or b'\n\n' in content
