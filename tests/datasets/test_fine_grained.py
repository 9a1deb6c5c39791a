"""NABirds and Stanford Dogs: the releases' layouts, and their disorder."""
import sys

import cv2
import mat4py
import numpy as np
import pytest
from mmpretrain.registry import DATASETS

from csd_mmpretrain.datasets import NABirds, StanfordDogs


@pytest.fixture
def nabirds(tmp_path):
    """555 leaf classes with ids from 295 on, two images of each."""
    root = tmp_path / 'nabirds'
    (root / 'images' / '0295').mkdir(parents=True)
    ids = [f'0000139e-21dc-4d0c-bfe1-{i:012x}' for i in range(2 * 555)]
    label = [295 + 2 * (i // 2) for i in range(len(ids))]

    def write(name, lines):
        (root / name).write_text('\n'.join(lines) + '\n')

    write('images.txt', (f'{id} {label:04d}/{id.replace("-", "")}.jpg'
                         for id, label in zip(ids, label)))
    write('image_class_labels.txt', map('{} {}'.format, ids, label))
    write('train_test_split.txt',
          (f'{id} {1 - i % 2}' for i, id in enumerate(ids)))
    write('classes.txt', (f'{i} Bird {i} (Adult male)' for i in range(1500)))
    path = root / 'images' / '0295' / f'{ids[0].replace("-", "")}.jpg'
    cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    return root


def test_nabirds(nabirds):
    train = DATASETS.build(
        dict(type='NABirds', data_root=str(nabirds),
             pipeline=[dict(type='LoadImageFromFile')]))
    test = NABirds(str(nabirds), split='test')
    assert train.get_gt_labels().tolist() == list(range(555))
    assert test.get_gt_labels().tolist() == list(range(555))
    assert train.CLASSES[:2] == ('Bird 295 (Adult male)',
                                 'Bird 297 (Adult male)')
    assert train[0]['img'].shape == (4, 4, 3)
    assert not ({train.get_data_info(i)['img_path'] for i in range(555)}
                & {test.get_data_info(i)['img_path'] for i in range(555)})
    assert len(NABirds(str(nabirds), indices=7)) == 7
    assert NABirds(str(nabirds / 'gone'), lazy_init=True).CLASSES is None
    assert str(nabirds) in repr(train)


@pytest.mark.parametrize('part', [
    'images', 'images.txt', 'image_class_labels.txt', 'train_test_split.txt',
    'classes.txt'
])
def test_nabirds_half_unpacked(nabirds, part):
    (nabirds / part).rename(nabirds / 'other')
    with pytest.raises(FileNotFoundError, match=f"has no '{part}'.*nabirds"):
        NABirds(str(nabirds))


def test_nabirds_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match='CSD_DATA_ROOT'):
        NABirds(str(tmp_path / 'nabirds'))
    with pytest.raises(ValueError, match="split='val'"):
        NABirds(str(tmp_path), split='val')


def test_nabirds_disorder(nabirds):
    labels = nabirds / 'image_class_labels.txt'
    lines = labels.read_text().splitlines()
    labels.write_text('\n'.join(lines[1:]))
    with pytest.raises(ValueError, match='not list the same images'):
        NABirds(str(nabirds))
    labels.write_text('\n'.join(lines + lines[:1]))
    with pytest.raises(ValueError, match='line 1111.*occurs twice'):
        NABirds(str(nabirds))
    labels.write_text('\n'.join(lines[:1] + ['id-without-a-label']))
    with pytest.raises(ValueError, match='line 2.*id-without-a-label'):
        NABirds(str(nabirds))
    labels.write_text('\n'.join(f'{line.split()[0]} 1' for line in lines))
    with pytest.raises(ValueError, match='found 1 classes.*expected 555'):
        NABirds(str(nabirds))


def make_dogs(root, images='Images', lists='lists', labels=None):
    (root / images).mkdir(parents=True)
    (root / lists).mkdir(exist_ok=True)
    files = [f'n{i:08d}-Breed_{i}/n_{i}_{k}.jpg'
             for i in range(120) for k in range(2)]
    labels = [float(i // 2 + 1) for i in range(240)] if labels is None \
        else labels
    for split in ('train', 'test'):
        mat4py.savemat(str(root / lists / f'{split}_list.mat'),
                       dict(file_list=files, labels=[[x] for x in labels]))
    return root


@pytest.mark.parametrize('images, lists', [('Images', 'lists'),
                                           ('images', '.')])
def test_dogs(tmp_path, images, lists):
    root = make_dogs(tmp_path / 'dogs', images, lists)
    (root / images / 'n00000000-Breed_0').mkdir()
    cv2.imwrite(str(root / images / 'n00000000-Breed_0' / 'n_0_0.jpg'),
                np.zeros((4, 4, 3), np.uint8))
    dataset = DATASETS.build(
        dict(type='StanfordDogs', data_root=str(root), split='train',
             pipeline=[dict(type='LoadImageFromFile')]))
    assert dataset.get_gt_labels().tolist() == [i // 2 for i in range(240)]
    assert dataset.CLASSES[119] == 'Breed_119'
    assert dataset[0]['img'].shape == (4, 4, 3)
    assert len(StanfordDogs(str(root), split='test', indices=3)) == 3
    assert str(root) in repr(dataset)


def test_dogs_half_unpacked(tmp_path):
    with pytest.raises(FileNotFoundError, match='CSD_DATA_ROOT.*stanford'):
        StanfordDogs(str(tmp_path / 'dogs'))
    (tmp_path / 'dogs' / 'lists').mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="has no 'Images'"):
        StanfordDogs(str(tmp_path / 'dogs'))
    (tmp_path / 'dogs' / 'Images').mkdir()
    with pytest.raises(FileNotFoundError, match="has no 'train_list.mat'"):
        StanfordDogs(str(tmp_path / 'dogs'))
    with pytest.raises(ValueError, match="split='val'"):
        StanfordDogs(str(tmp_path), split='val')


@pytest.mark.parametrize('name, line, message', [
    ('image_class_labels.txt', 'leaf', "'leaf' .* a whole number"),
    ('image_class_labels.txt', '1.5', "'1.5' .* a whole number"),
    ('image_class_labels.txt', '-1', "'-1' .* a whole number"),
    ('train_test_split.txt', '2', "'2' .* 0 or 1")])
def test_nabirds_values(nabirds, name, line, message):
    path = nabirds / name
    first, *others = path.read_text().splitlines()
    path.write_text('\n'.join([f'{first.split()[0]} {line}', *others, '', '']))
    with pytest.raises(ValueError, match=f'{name}: {message}'):
        NABirds(str(nabirds))


@pytest.mark.parametrize('label', [1.5, -1.0, 0.0, 121.0])
def test_dogs_labels(tmp_path, label):
    labels = [float(i // 2 + 1) for i in range(239)] + [label]
    root = make_dogs(tmp_path / 'dogs', labels=labels)
    with pytest.raises(ValueError, match='all of 1..120'):
        StanfordDogs(str(root))


def test_dogs_disorder(tmp_path, monkeypatch):
    root = make_dogs(tmp_path / 'dogs', labels=[1.0] * 240)
    with pytest.raises(ValueError, match='1 classes, expected one label'):
        StanfordDogs(str(root))
    (root / 'lists' / 'train_list.mat').write_bytes(b'<html>' * 100)
    monkeypatch.setitem(sys.modules, 'scipy.io', None)
    with pytest.raises(ValueError, match='pip install scipy'):
        StanfordDogs(str(root))
