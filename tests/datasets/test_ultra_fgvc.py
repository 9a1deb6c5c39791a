"""Ultra-FGVC datasets: reading, aliases, and every disorder of a folder."""
import os

import cv2
import numpy as np
import pytest
from mmpretrain.registry import DATASETS

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.datasets import (
    Cotton80,
    SoyAgeing,
    SoyGene,
    SoyGlobal,
    SoyLocal,
)
from csd_mmpretrain.datasets.ultra_fgvc import read_annotations

LOAD = [dict(type='LoadImageFromFile')]
LINES = dict(train='1_1_train.png 1\n1_2_train.png 1\n80_1_train.png 80\n',
             test='1_3_test.png 1\n')


@pytest.fixture
def cotton(tmp_path):
    """A small whole folder in the format of the release."""
    return make_folder(tmp_path / 'COTTON', **LINES)


def make_folder(root, **lists):
    (root / 'anno').mkdir(parents=True)
    (root / 'images').mkdir()
    image = np.full((4, 4, 3), 90, np.uint8)
    for split, text in lists.items():
        (root / 'anno' / f'{split}.txt').write_text(text)
        for line in filter(str.strip, text.splitlines()):
            cv2.imwrite(str(root / 'images' / line.rsplit(' ', 1)[0]), image)
    return root


def test_reads_names_and_labels(cotton):
    dataset = Cotton80(str(cotton), split='train', pipeline=LOAD)
    assert dataset.get_gt_labels().tolist() == [0, 0, 79]
    assert dataset.get_cat_ids(2) == [79]
    assert len(dataset.CLASSES) == 80
    assert dataset.class_to_idx['80'] == 79
    assert dataset[1]['img'].shape == (4, 4, 3)
    assert dataset[1]['img_path'] == str(cotton / 'images' / '1_2_train.png')
    assert str(cotton) in repr(dataset) and 'train' in repr(dataset)


def test_stock_arguments_pass_through(cotton):
    dataset = Cotton80(str(cotton), split='train', indices=2, test_mode=True,
                       serialize_data=False, pipeline=LOAD)
    assert len(dataset) == 2 and dataset.test_mode
    assert not dataset.serialize_data
    lazy = Cotton80(str(cotton / 'gone'), lazy_init=True)
    assert len(lazy.CLASSES) == 80
    built = DATASETS.build(dict(type='Cotton80', data_root=str(cotton)))
    assert len(built) == 3


@pytest.mark.parametrize('cls, folder, classes, train, test', [
    (Cotton80, 'COTTON', 80, 240, 240),
    (SoyLocal, 'soybean200', 200, 600, 600),
    (SoyGlobal, 'soybean2000', 1938, 5814, 5814),
    (SoyGene, 'soybean_gene', 1110, 12763, 11143),
    (SoyAgeing, 'R1', 198, 990, 990),
])
def test_real_lists(shared_dir, tmp_path, cls, folder, classes, train, test):
    root = tmp_path / folder
    (root / 'images').mkdir(parents=True)
    os.symlink(shared_dir / 'annotations' / folder / 'anno', root / 'anno')
    for split, number in (('train', train), ('test', test)):
        dataset = cls(str(root), split=split)
        assert len(dataset) == number
        assert set(dataset.get_gt_labels()) == set(range(classes))


def test_list_with_spaces_in_names_blank_lines_and_windows_ends(tmp_path):
    path = tmp_path / 'train.txt'
    path.write_bytes(b'\xef\xbb\xbfa leaf, old.png 2\r\n\r\nb.png\t1\r\n  \n')
    assert read_annotations(path, 2) == [('a leaf, old.png', 1), ('b.png', 0)]


@pytest.mark.parametrize('text, expected', [
    ('a.png 1\nb.png\n', ['line 2', "'b.png'", '<file name><space><label>']),
    ('a.png one\n', ['line 1', 'whole number']),
    ('7\n', ['line 1']),
    ('a.png 0\n', ['line 1', 'label 0', '1..80']),
    ('a.png 1\nb.png 81\n', ['line 2', 'label 81', '1..80', "'b.png'"]),
    ('a.png -1\n', ['label -1']),
    ('a.png 1\nb.png 1\na.png 2\n', ['line 3', 'line 1', "'a.png'"]),
    ('\n', ['empty']),
])
def test_disorder_in_a_list_names_the_line(tmp_path, text, expected):
    path = tmp_path / 'COTTON' / 'anno' / 'train.txt'
    (tmp_path / 'COTTON' / 'images').mkdir(parents=True)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        Cotton80(str(tmp_path / 'COTTON'))
    for part in [str(path), *expected]:
        assert part in str(error.value)


def test_list_that_is_no_text(tmp_path):
    path = tmp_path / 'train.txt'
    path.write_bytes(b'\xff\xfe\x80\n')
    with pytest.raises(ValueError, match='not a text file'):
        read_annotations(path, 2)


def test_missing_folder_names_layout_setting_and_page(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        DATASETS.build(
            dict(type='Cotton80', data_root=str(tmp_path / 'COTTON')))
    for part in (str(tmp_path / 'COTTON'), 'images/*.png', 'anno/train.txt',
                 'CSD_DATA_ROOT', 'github.com/XiaohanYu-GU/Ultra-FGVC'):
        assert part in str(error.value)


@pytest.mark.parametrize('part', ['images', 'anno', 'train.txt'])
def test_half_unpacked(cotton, part):
    target = next(cotton.rglob(part))
    target.rename(cotton.parent / 'elsewhere')
    with pytest.raises(FileNotFoundError, match=f"has no '{part}'.*unpacked"):
        Cotton80(str(cotton))


def test_val_list_is_optional(cotton):
    with pytest.raises(FileNotFoundError, match="no validation.*split='test'"):
        Cotton80(str(cotton), split='val')
    (cotton / 'anno' / 'val.txt').write_text('1_3_test.png 1\n')
    assert len(Cotton80(str(cotton), split='val')) == 1


def test_unknown_split(cotton):
    with pytest.raises(ValueError, match="split='dev', expected one of train"):
        Cotton80(str(cotton), split='dev')


@pytest.mark.parametrize('there, asked, cls', [
    ('soybeangene', 'soybean_gene', SoyGene),
    ('soybean_gene', 'soybeangene', SoyGene),
    ('Soybean_Gene', 'soybean_gene', SoyGene),
    ('cotton', 'COTTON', Cotton80),
])
def test_other_names_of_a_folder(tmp_path, there, asked, cls):
    make_folder(tmp_path / there, **LINES)
    dataset = cls(str(tmp_path / asked))
    assert dataset.data_root == str(tmp_path / there)
    assert len(dataset) == 3


def test_a_folder_of_another_name_is_not_replaced(tmp_path, cotton):
    with pytest.raises(FileNotFoundError, match='my_cotton'):
        Cotton80(str(tmp_path / 'my_cotton'))


def test_home_folder(cotton, monkeypatch):
    monkeypatch.setenv('HOME', str(cotton.parent))
    assert len(Cotton80('~/COTTON')) == 3


def test_ageing_takes_the_stage_or_its_parent(tmp_path):
    make_folder(tmp_path / 'R3', train='yd012_R3_1_train.png 1\n')
    for root in (tmp_path / 'R3', tmp_path):
        dataset = SoyAgeing(str(root), stage='R3')
        assert dataset.data_root == str(tmp_path / 'R3')
        assert len(dataset) == 1 and 'R3' in repr(dataset)
    make_folder(tmp_path / 'flowering', train='a.png 1\n')
    assert len(SoyAgeing(str(tmp_path / 'flowering'), stage='R4')) == 1
    (tmp_path / 'R3').rename(tmp_path / 'r3')
    assert len(SoyAgeing(str(tmp_path / 'R3'), stage='R3')) == 1


def test_ageing_refuses_unknown_and_contradicting_stages(tmp_path):
    with pytest.raises(ValueError, match="stage='R2', expected one of R1"):
        SoyAgeing(str(tmp_path), stage='R2')
    with pytest.raises(ValueError, match="folder of R3, but stage='R4'"):
        SoyAgeing(str(tmp_path / 'R3'), stage='R4')
    with pytest.raises(FileNotFoundError, match='R5'):
        SoyAgeing(str(tmp_path), stage='R5')


def test_png_of_any_kind_decodes_to_three_channels(cotton):
    from PIL import Image
    path = cotton / 'images' / '1_1_train.png'
    rgb = np.zeros((4, 4, 3), np.uint8)
    rgb[..., 0], rgb[..., 1] = 200, 100
    red = Image.fromarray(rgb)
    with_alpha = red.copy()
    with_alpha.putalpha(128)
    pictures = dict(
        rgb=red, alpha=with_alpha,
        palette=red.convert('P', palette=Image.ADAPTIVE),
        gray=red.convert('L'), grey_alpha=red.convert('LA'),
        bilevel=red.convert('1'),
        deep=Image.fromarray(np.full((4, 4), 40000, np.uint16)))
    for kind, picture in pictures.items():
        picture.save(path)
        image = Cotton80(str(cotton), pipeline=LOAD)[0]['img']
        assert image.shape == (4, 4, 3) and image.dtype == np.uint8, kind
        if kind in ('rgb', 'alpha', 'palette'):
            assert np.abs(image[0, 0].astype(int) - [0, 100, 200]).max() < 3
