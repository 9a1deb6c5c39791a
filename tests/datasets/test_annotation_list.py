"""Lists that do not parse are refused in one line, before anything is built.
"""
import numpy as np
import pytest
from mmengine.config import Config
from mmpretrain.datasets import CustomDataset
from PIL import Image

from csd_mmpretrain.datasets.annotation_list import check_image_list
from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.datasets.grocery81_selection import make_grocery81
from csd_mmpretrain.datasets.ultra_fgvc import read_annotations

GOOD = 'a.jpg 0\nb c.jpg 1\na.jpg 0'
BAD = {
    'blank': (b'a.jpg 0\n\n', 'line 2: is blank'),
    'blank between': (b'a.jpg 0\n \nb.jpg 1', 'line 2: is blank'),
    'empty': (b'', 'the list is empty'),
    'mark': (b'\xef\xbb\xbfa.jpg 0', 'byte-order mark'),
    'utf-16': ('a.jpg 0'.encode('utf-16'), 'not a text file in UTF-8'),
    'latin-1': ('café.jpg 0'.encode('latin-1'), 'not a text file in UTF-8'),
    'decimal': (b'a.jpg 1.5', "line 1: found 'a.jpg 1.5'"),
    'negative': (b'a.jpg -1', "found 'a.jpg -1'.*from 0"),
    'nan': (b'a.jpg nan', "found 'a.jpg nan'"),
    'word': (b'a.jpg cat', "found 'a.jpg cat'"),
    'no label': (b'a.jpg 0\nb.jpg', "line 2: found 'b.jpg'"),
    'no name': (b' 0', 'line 1: found'),
    'tab': (b'a.jpg\t0', 'one space'),
    'comma': (b'a.jpg,0', 'one space'),
    'spaces': (b'a.jpg  0', 'one space'),
    'several labels': (b'a.jpg 0,1', "found 'a.jpg 0,1'"),
    'two labels': (b'a.jpg 0\nb.jpg 1\na.jpg 2', 'line 1 gives .* label 0'),
}


@pytest.fixture
def cfg(tmp_path):
    dataset = dict(type='CustomDataset', data_root=str(tmp_path),
                   ann_file='list.txt', classes=str(tmp_path / 'classes.txt'))
    (tmp_path / 'list.txt').write_text(GOOD)
    (tmp_path / 'classes.txt').write_text('ash\noak\n')
    return Config(dict(
        default_scope='mmpretrain', train_dataloader=dict(dataset=dict(
            type='RepeatDataset', times=2, dataset=dataset))))


def test_a_good_list(cfg, tmp_path):
    """It says what mmpretrain reads."""
    for end in ('', '\n'):
        (tmp_path / 'list.txt').write_text(GOOD + end)
        check_dataset_folders(cfg)
        data = CustomDataset(str(tmp_path), ann_file='list.txt')
        assert data.get_gt_labels().tolist() == [0, 1, 0]


@pytest.mark.parametrize('content, message', BAD.values(), ids=BAD)
def test_a_bad_list(cfg, tmp_path, content, message):
    (tmp_path / 'list.txt').write_bytes(content)
    with pytest.raises(ValueError, match=f'list.txt.*{message}') as error:
        check_dataset_folders(cfg)
    assert '\n' not in str(error.value)


def test_lists_without_labels(cfg, tmp_path):
    (tmp_path / 'list.txt').write_text('a.jpg\nb c.jpg\n')
    check_image_list(str(tmp_path / 'list.txt'), with_label=False)
    cfg.train_dataloader.dataset.dataset.with_label = False
    check_dataset_folders(cfg)
    (tmp_path / 'list.txt').write_text('a.jpg\n\n')
    with pytest.raises(ValueError, match='line 2: is blank'):
        check_dataset_folders(cfg)


@pytest.mark.parametrize('name', ['list.txt', 'classes.txt'])
def test_a_missing_list(cfg, tmp_path, name):
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=f'no file .*{name}'):
        check_dataset_folders(cfg)


@pytest.mark.parametrize('content, message', [
    (b'ash\n\noak', 'line 2: is blank'), (b'ash\nash', 'is in line 1'),
    (b'\xef\xbb\xbfash', 'byte-order'), (b'caf\xe9', 'UTF-8'), (b'', 'empty')])
def test_a_bad_list_of_classes(cfg, tmp_path, content, message):
    (tmp_path / 'classes.txt').write_bytes(content)
    with pytest.raises(ValueError, match=f'classes.txt.*{message}'):
        check_dataset_folders(cfg)


@pytest.mark.parametrize('name', [
    'empty', 'utf-16', 'latin-1', 'decimal', 'negative', 'nan', 'word',
    'no label', 'no name', 'comma', 'several labels', 'two labels'])
def test_a_bad_list_of_ultra_fgvc(tmp_path, name):
    (tmp_path / 'train.txt').write_bytes(BAD[name][0].replace(b' 0', b' 3'))
    with pytest.raises(ValueError, match='train.txt'):
        read_annotations(tmp_path / 'train.txt', 3)


def test_marks_and_blank_lines_of_ultra_fgvc(tmp_path):
    (tmp_path / 'train.txt').write_bytes(b'\xef\xbb\xbfa.png 1\r\n\n\n')
    assert read_annotations(tmp_path / 'train.txt', 3) == [('a.png', 0)]


@pytest.mark.parametrize('row', ['apple', 'apple,1.5', 'apple,x', '', ','])
def test_a_bad_table_of_grocery81(tmp_path, row):
    (tmp_path / 'dataset').mkdir()
    (tmp_path / 'dataset/classes.csv').write_text(
        f'name,id\npear,0\n{row}\n')
    with pytest.raises(ValueError, match='classes.csv, line 3'):
        make_grocery81(tmp_path, tmp_path / 'made')


def test_a_name_in_another_form_of_unicode(tmp_path):
    from csd_mmpretrain.datasets.image_files import image_fault
    pixels = np.zeros((8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'cafe\u0301.png')
    fault = image_fault(str(tmp_path / 'caf\xe9.png'))
    assert fault.startswith('missing (there is one in Unicode NFD')
