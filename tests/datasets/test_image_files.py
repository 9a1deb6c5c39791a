"""Broken image files are found, whole ones are not, and cheaply."""
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from csd_mmpretrain.datasets.image_files import find_broken_images, image_fault

FORMATS = ['png', 'jpg', 'bmp', 'gif', 'tif', 'webp', 'ppm']


@pytest.fixture
def photo():
    return np.random.randint(0, 255, (40, 50, 3), np.uint8)


@pytest.mark.parametrize('kind', FORMATS)
def test_whole_and_truncated(tmp_path, photo, kind):
    path = tmp_path / f'leaf.{kind}'
    Image.fromarray(photo).save(path)
    for decode in (False, True):
        fault = image_fault(str(path), decode)
        assert fault is None or (  # OpenCV before 4.11
            kind == 'gif' and fault == 'not read by OpenCV (GIF, P)')
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    assert image_fault(str(path)) == 'truncated' or kind in ('tif', 'webp')
    assert image_fault(str(path)) is not None
    path.write_bytes(whole[:9])
    assert image_fault(str(path)) is not None


def test_faults_by_name(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / 'whole.png')
    (tmp_path / 'empty.png').touch()
    (tmp_path / 'page.png').write_text('<html>404 not found</html>')
    (tmp_path / 'folder.png').mkdir()
    (tmp_path / 'array.npy').write_bytes(b'\x93NUMPY whatever')
    names = ['whole.png', 'gone.png', 'empty.png', 'page.png', 'folder.png',
             'array.npy', 'whole.png/within.png']
    broken = find_broken_images(
        (str(tmp_path / name) for name in names),
        others=[str(tmp_path / 'array.npy')])
    assert [(path[len(str(tmp_path)) + 1:], fault)
            for path, fault in broken] == [
                ('gone.png', 'missing'), ('empty.png', 'empty'),
                ('page.png', 'not an image'),
                ('folder.png', 'not a file'),
                ('whole.png/within.png', 'missing')]


def test_damage_in_the_middle_needs_decoding(tmp_path, photo):
    path = tmp_path / 'leaf.png'
    Image.fromarray(photo).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    assert image_fault(str(path)) is None
    assert image_fault(str(path), decode=True) == 'damaged'


def test_bytes_after_the_end_do_no_harm(tmp_path, photo):
    for kind in ('png', 'jpg'):
        path = tmp_path / f'leaf.{kind}'
        Image.fromarray(photo).save(path)
        for padding in (10, 1000):
            path.write_bytes(path.read_bytes() + b'\0' * padding)
            assert image_fault(str(path)) is None


def test_what_only_opencv_reads_is_an_image(tmp_path, photo):
    path = tmp_path / 'leaf.tiff'
    stack = np.full((8, 9, 3), 40000, np.uint16)
    assert cv2.imwrite(str(path), stack)
    assert image_fault(str(path)) is None


def test_plain_photos_are_not_decoded(tmp_path, photo, monkeypatch):
    gray, palette = (Image.fromarray(photo).convert(mode) for mode in 'LP')
    paths = []
    for kind in ('png', 'jpg'):
        paths += [str(tmp_path / f'{name}.{kind}') for name in ('a', 'b')]
        Image.fromarray(photo).save(paths[-2])
        gray.save(paths[-1])
    palette.save(tmp_path / 'c.png')
    monkeypatch.setattr('csd_mmpretrain.datasets.image_files._decode', None)
    assert find_broken_images([*paths, str(tmp_path / 'c.png')]) == []
    faults = find_broken_images(paths, decode=True)
    assert [path for path, _ in faults] == paths


@pytest.mark.parametrize('workers', [1, 3])
def test_order_and_progress(tmp_path, capsys, workers):
    paths = [str(tmp_path / f'{i}.png') for i in range(50)]
    for path in paths[::2]:
        open(path, 'w').close()
    broken = find_broken_images(paths, False, workers, 'Looking')
    assert broken == [(path, 'missing' if i % 2 else 'empty')
                      for i, path in enumerate(paths)]
    assert 'Looking' in capsys.readouterr().out


def test_plain_tiff_files_are_not_decoded(tmp_path, photo, monkeypatch):
    paths = []
    for name, kind, options in (
            ('raw', 'RGB', {}), ('lzw', 'RGB', dict(compression='tiff_lzw')),
            ('gray', 'L', dict(compression='tiff_adobe_deflate'))):
        paths.append(str(tmp_path / f'{name}.tif'))
        Image.fromarray(photo).convert(kind).save(paths[-1], **options)
    cmyk = str(tmp_path / 'cmyk.tif')
    Image.fromarray(photo).convert('CMYK').save(cmyk)
    assert find_broken_images(paths, decode=True) == []
    monkeypatch.setattr(
        'csd_mmpretrain.datasets.image_files._decode', lambda path: None)
    assert find_broken_images(paths) == []
    assert find_broken_images([cmyk]) == [
        (cmyk, 'not read by OpenCV (TIFF, CMYK)')]


@pytest.mark.parametrize('compression', [
    'raw', 'packbits', 'tiff_lzw', 'tiff_adobe_deflate'])
def test_a_tiff_header_that_says_too_much_is_not_decoded(
        tmp_path, photo, compression, monkeypatch):
    path = tmp_path / 'leaf.tif'
    Image.fromarray(photo).save(path, compression=compression)
    with Image.open(path) as image:
        tags = image.tag_v2
        data = path.read_bytes()
        for tag, side in (256, 50), (257, 40):
            for form in '<HHIHH', '<HHII':
                old = struct.pack(form, tag, 3 if form == '<HHIHH' else 4, 1,
                                  side, *[0] * (form == '<HHIHH'))
                data = data.replace(old, struct.pack('<HHII', tag, 4, 1,
                                                     13000))
        assert tags[256] == 50
    path.write_bytes(data)
    with Image.open(path) as image:
        assert image.size == (13000, 13000)
    monkeypatch.setattr(Image.Image, 'load', lambda image: 1 / 0)
    for decode in (False, True):
        assert image_fault(str(path), decode) == 'truncated'


def test_large_images_are_compared_in_parts(tmp_path, photo, monkeypatch):
    monkeypatch.setattr(
        'csd_mmpretrain.datasets.image_files._LARGE', 120)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ('leaf.png', 'leaf.tif', 'leaf.bmp'):
        Image.fromarray(photo).save(tmp_path / name)
        assert image_fault(str(tmp_path / name), decode=True) is None
    Image.fromarray(photo).save(tmp_path / 'turned.jpg', exif=exif)
    assert image_fault(str(tmp_path / 'turned.jpg'), decode=True) is None
    monkeypatch.setattr('csd_mmpretrain.datasets.image_files._decode',
                        lambda path: photo)
    assert 'differently' in image_fault(str(tmp_path / 'leaf.png'), True)


def test_narrow_images_are_named(tmp_path):
    for size, narrow in (((1, 201), True), ((200, 1), False)):
        Image.new('RGB', size).save(tmp_path / 'leaf.png')
        fault = image_fault(str(tmp_path / 'leaf.png'))
        assert bool(fault) == narrow
        assert not narrow or fault.startswith('too narrow (1 x 201 pixels')
