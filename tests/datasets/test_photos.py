"""Photos, classes and groups from folders and tables."""
import os

import pytest
from PIL import Image

from csd_mmpretrain.datasets.photos import (
    Photo,
    empty_folders,
    join_copies,
    loose_photos,
    mixed_groups,
    read_groups,
    read_photo_folder,
    read_photo_table,
)


@pytest.fixture
def folder(tmp_path):
    """Two classes, plants in subfolders, and what is no photo."""
    for number, name in enumerate((
            'Ahorn é/p 1/a.jpg', 'Ahorn é/p 1/top/b.webp', 'oak/p 1/a.JPG',
            'oak/loose.png', 'oak/.hidden.png', '.trash/x.png',
            'oak/notes.txt', 'in no class.jpg', '._in no class.jpg')):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number] * 9))
    (tmp_path / 'empty').mkdir()
    return tmp_path


def test_folders_and_their_groups(folder):
    alone = read_photo_folder(str(folder))
    assert [photo.path for photo in alone] == [
        'Ahorn é/p 1/a.jpg', 'Ahorn é/p 1/top/b.webp', 'oak/loose.png',
        'oak/p 1/a.JPG']
    assert [photo.label for photo in alone] == ['Ahorn é'] * 2 + ['oak'] * 2
    assert all(photo.group == photo.path for photo in alone)
    groups = [photo.group for photo in read_photo_folder(str(folder),
                                                         'folder')]
    assert groups == ['Ahorn é/p 1', 'Ahorn é/p 1', 'oak/loose.png',
                      'oak/p 1']
    groups = [photo.group for photo in read_photo_folder(
        str(folder), r'^(\w+).*(?:(\bp \d)|loose)')]
    assert groups == ['Ahorn p 1', 'Ahorn p 1', 'oak', 'oak p 1']
    assert empty_folders(str(folder), alone) == ['empty']
    assert loose_photos(str(folder)) == ['in no class.jpg']


@pytest.mark.parametrize('group, message', [
    ('(p', 'is no regular expression'),
    (r'p \d', 'has no parentheses'),
    (r'(p \d)', r'matches no part of 1 of 4 paths, such as oak/loose.png'),
])
def test_bad_groups(folder, group, message):
    with pytest.raises(ValueError, match=message):
        read_photo_folder(str(folder), group)


def test_folders_without_photos(tmp_path):
    with pytest.raises(FileNotFoundError, match='There is no folder'):
        read_photo_folder(str(tmp_path / 'nothing'))
    (tmp_path / 'photo.jpg').touch()
    with pytest.raises(FileNotFoundError, match='and 1 lie beside'):
        read_photo_folder(str(tmp_path))


def test_a_class_in_two_forms_of_unicode(folder):
    (folder / 'Ahorn e\u0301').mkdir()
    (folder / 'Ahorn e\u0301' / 'a.jpg').touch()
    if len(os.listdir(folder)) == 3:
        pytest.skip('this file system knows one form')
    with pytest.raises(ValueError, match='two forms of Unicode'):
        read_photo_folder(str(folder))


def table(folder, text, encoding='utf-8'):
    path = folder / 'photos.csv'
    path.write_text(text, encoding=encoding)
    return str(path)


@pytest.mark.parametrize('mark', [',', ';', '\t'])
def test_tables(folder, mark):
    text = ('path,label,group,date\noak/loose.png,oak,1,x\n'
            'oak/p 1/a.JPG,"ma ple",2,y\noak/loose.png,oak,1,z\n')
    path = table(folder, text.replace(',', mark), 'utf-8-sig')
    assert read_photo_table(path) == [
        Photo('oak/loose.png', 'oak', '1'),
        Photo('oak/p 1/a.JPG', 'ma ple', '2')]
    path = table(folder, 'label,path\noak,oak/loose.png\n')
    assert read_photo_table(path) == [
        Photo('oak/loose.png', 'oak', 'oak/loose.png')]


def test_tables_as_spreadsheets_of_windows_write_them(folder):
    path = folder / 'photos.csv'
    path.write_bytes(b'\xef\xbb\xbfPath; Label ;GROUP\r\n'
                     b'oak\\p 1\\a.JPG; oak; 2\r\n')
    assert read_photo_table(str(path)) == [
        Photo('oak/p 1/a.JPG', 'oak', '2')]


@pytest.mark.parametrize('text, error, message', [
    ('file,label\na,b\n', ValueError, 'no column path; the first line has '
     'file, label'),
    ('', ValueError, 'has nothing'),
    ('path,label\n', ValueError, 'lists no photo'),
    ('path,label,group\noak/loose.png,oak,\n', ValueError,
     'line 2: `group` is empty'),
    ('path,label\ngone.jpg,oak\noak/loose.png,oak\n', FileNotFoundError,
     '1 of 2 photos are not there, such as gone.jpg'),
    ('path,label\noak/loose.png,oak\noak/loose.png,elm\n', ValueError,
     "line 3: oak/loose.png has the label 'elm', but line 2 says 'oak'"),
    ('path,label,group\noak/loose.png,oak,1\noak/loose.png,oak,2\n',
     ValueError, "the group '2', but line 2 says '1'"),
    ('path,label\n"oak' + 140_000 * 'k', ValueError, 'a quote may be open'),
])
def test_bad_tables(folder, text, error, message):
    with pytest.raises(error, match=message):
        read_photo_table(table(folder, text))


def test_groups_that_share_a_photo_become_one(tmp_path):
    colors = dict(a=1, b=2, c=1, d=3, e=2, f=3, g=4)
    for name, color in colors.items():
        Image.new('RGB', (9, 9), (color, 0, 0)).save(
            tmp_path / f'{name}.png')
    photos = [Photo(f'{name}.png', 'x', group) for name, group in zip(
        colors, '1123345')]
    joined, shared = join_copies(str(tmp_path), photos)
    names = [[photo.path[0] for photo in same] for same in shared]
    # d and f are copies, but of groups 3 and 4, e and b of 3 and 1.
    assert sorted(names) == [['a', 'c'], ['b', 'e'], ['d', 'f']]
    assert [photo.path for photo in joined] == [p.path for p in photos]
    assert len({photo.group for photo in joined[:-1]}) == 1
    assert joined[-1].group == '5'


def test_groups_of_several_classes():
    photos = [Photo('a', 'x', '1'), Photo('b', 'y', '1'),
              Photo('c', 'x', '2')]
    assert mixed_groups(photos) == ['1']


def test_groups_of_a_dataset(folder):
    class Images:
        img_prefix = str(folder)

        def __len__(self):
            return 2

        def get_data_info(self, index):
            name = ('oak/loose.png', 'oak/p 1/a.JPG')[index]
            return dict(img_path=os.path.join(self.img_prefix, name))

    text = 'path,group\noak/p 1/a.JPG,one\n'
    with pytest.raises(ValueError, match='1 of the 2 images.*oak/loose.png'):
        read_groups(table(folder, text), Images())
    path = table(folder, text + 'oak/loose.png,two\nother.png,three\n')
    assert read_groups(path, Images()) == ['two', 'one']
    with pytest.raises(ValueError, match='an earlier line says'):
        read_groups(table(folder, text + 'oak/p 1/a.JPG,two\n'), Images())
