"""Labels, classes and images that splits share are checked and told."""
import shutil
import unicodedata

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from csd_mmpretrain.datasets.data_check import check_classes, check_data
from csd_mmpretrain.datasets.samples import Sample


class Dataset:

    def __init__(self, *classes):
        self.metainfo = dict(classes=classes)


def check_labels(labels, number, *classes):
    samples = [Sample(None, label) for label in labels]
    check_classes(dict(training=Dataset(*classes)), dict(training=samples),
                  number)


def test_labels_of_other_kinds():
    check_labels([None, [0, 2], np.array([1, 2]), dict(task=7)], 3)
    check_labels([99], None)
    with pytest.raises(ValueError, match='label 3 of .sample 1.'):
        check_labels([0, [0, 3]], 3)
    with pytest.raises(ValueError, match='label 5'):
        check_labels([np.int64(5)], 3)
    with pytest.raises(ValueError, match='label 2.*outside 0..1'):
        check_labels([0, 2], None, 'ash', 'oak')


@pytest.fixture
def folders(tmp_path):
    """Two splits of three folders with two images each, and their config."""
    for index in range(12):
        split, label = ('train', 'val')[index // 6], 'abc'[index % 3]
        folder = tmp_path / split / label
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.randint(0, 255, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f'{index}.png')
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    data = {f'{split}_dataloader': dict(dataset=dict(
        type='CustomDataset', data_root=str(tmp_path / split),
        pipeline=pipeline)) for split in ('train', 'val')}
    return tmp_path, Config(dict(
        model=dict(head=dict(cls_head=dict(num_classes=3))), **data))


def test_right_folders(folders, capsys):
    assert check_data(folders[1])
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith('0 of 12 image files')


@pytest.mark.parametrize('empty', ['aa', '.cache'])
def test_an_empty_folder_shifts_the_labels(folders, capsys, empty):
    root, cfg = folders
    (root / 'train' / empty).mkdir()
    assert not check_data(cfg)
    assert f'only the training data has {empty}' in capsys.readouterr().out
    (root / 'val' / empty).mkdir()
    assert not check_data(cfg)
    out = capsys.readouterr().out
    assert 'label 3 of' in out and 'is outside 0..2. The dataset has 4' in out
    assert f"of which '{empty}' have no image" in out


def test_an_empty_folder_at_the_end(folders, capsys):
    root, cfg = folders
    for split in ('train', 'val'):
        (root / split / 'd').mkdir()
    assert check_data(cfg)
    assert 'model has 3 classes, the training data 4' in (
        capsys.readouterr().out)


def test_images_of_two_splits(folders, capsys):
    """Copies and links, under any name."""
    root, cfg = folders
    shutil.copy(root / 'train/a/0.png', root / 'val/a/copy.png')
    (root / 'val/b/link.png').symlink_to(root / 'train/b/1.png')
    assert check_data(cfg)
    out = capsys.readouterr().out
    assert '2 of 8 images of the validation data' in out
    assert 'val/a/copy.png' in out and 'val/b/link.png' in out


def test_class_names_in_two_forms_of_unicode(folders, capsys):
    root, cfg = folders
    for split, form in (('train', 'NFD'), ('val', 'NFC')):
        (root / split / 'c').rename(
            root / split / unicodedata.normalize(form, 'Café'))
    assert not check_data(cfg)
    out = capsys.readouterr().out
    assert r"'Cafe\u0301' and 'Caf\xe9'" in out and 'NFD' in out
    assert 'only the' not in out
    (root / 'train' / 'Café').mkdir()
    cfg.val_dataloader = None
    assert not check_data(cfg)
    assert 'two forms of Unicode' in capsys.readouterr().out


def test_a_listed_file_that_is_no_image(folders, capsys):
    """Whatever LoadImageFromFile would load is decoded."""
    root, cfg = folders
    (root / 'train' / 'notes').write_text('no image')
    (root / 'train' / 'list.txt').write_text('a/0.png 0\nnotes 1\n')
    train = cfg.train_dataloader.dataset
    train.update(ann_file='list.txt', classes=['a', 'b', 'c'])
    assert not check_data(cfg)
    assert f'not an image: 1\n  {root}/train/notes' in capsys.readouterr().out
    train.pipeline = [dict(type='PackInputs')]
    assert check_data(cfg)
