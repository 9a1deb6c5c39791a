"""Every file decodes as a person sees it, or is named before the first step.

The files are made here: kinds that loaders get wrong, broken ones, and ones
that are made to hang a program or to fill its memory.
"""
import os
import resource
import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmpretrain.registry import TRANSFORMS
from PIL import Image, ImageOps

from csd_mmpretrain.datasets.image_files import _as_seen, image_fault
from csd_mmpretrain.hooks.dataset_check_hook import DatasetCheckHook

HEIGHT, WIDTH = 48, 64
Y, X = np.mgrid[:HEIGHT, :WIDTH]
PIXELS = np.stack([X * 4, Y * 5, 255 - X * 2 - Y], -1).astype(np.uint8)
PHOTO = Image.fromarray(PIXELS)
HALF = Image.fromarray(np.where(X < WIDTH / 2, 255, 0).astype(np.uint8))
FORMATS = ('jpg', 'png', 'webp', 'tif', 'bmp', 'gif', 'ppm')
NEW_OPENCV = int(cv2.__version__.split('.')[0]) >= 5


@pytest.fixture
def save(tmp_path):
    """Write an image, and give back its path."""

    def write(name, image=PHOTO, **options):
        path = tmp_path / name
        if isinstance(image, bytes):
            path.write_bytes(image)
        else:
            lossless = (dict(quality=95) if name.endswith('jpg') else
                        dict(lossless=True) if name.endswith('webp') else {})
            image.save(path, **lossless, **options)
        return str(path)

    return write


@pytest.fixture
def loader(repo_root):
    """The loading step that all configs share."""
    cfgs = map(Config.fromfile,
               (repo_root / 'configs/_base_/datasets').glob('*.py'))
    first, *others = [
        cfg[name][0] for cfg in cfgs
        for name in ('train_pipeline', 'test_pipeline') if name in cfg]
    assert all(step == first for step in others)
    transform = TRANSFORMS.build(first)
    return lambda path: transform(dict(img_path=path))['img']


def png(width, height, depth, color, rows):
    """Write a PNG of any depth, or one whose header lies about its size."""

    def chunk(name, data):
        return (struct.pack('>I', len(data)) + name + data +
                struct.pack('>I', zlib.crc32(name + data)))

    header = struct.pack('>IIBBBBB', width, height, depth, color, 0, 0, 0)
    data = zlib.compress(b''.join(b'\0' + row.tobytes() for row in rows))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) +
            chunk(b'IDAT', data) + chunk(b'IEND', b''))


def frames():
    other = ImageOps.invert(PHOTO)
    return dict(save_all=True, append_images=[other, other])


def without_adobe_marker(path):
    data = open(path, 'rb').read()
    start = data.index(b'\xff\xee')
    length, = struct.unpack('>H', data[start + 2:start + 4])
    return data[:start] + data[start + 2 + length:]


def assert_loads_or_is_named(loader, path, expected):
    """What a person sees is loaded, unless the file has a fault."""
    faults = {image_fault(path, decode) for decode in (False, True)}
    assert len(faults) == 1
    if faults == {None}:
        loaded = loader(path)[..., ::-1].astype(int)
        assert loaded.shape == expected.shape
        assert abs(loaded - expected).mean() < 3
    return faults.pop()


GOOD = {
    'photo.jpg': dict(),
    'progressive.jpg': dict(progressive=True),
    'photo.png': dict(),
    'photo.bmp': dict(),
    'photo.tif': dict(),
    'photo.ppm': dict(),
    'photo.webp': dict(),
    'packed.tif': dict(compression='tiff_lzw'),
    'animated.png': frames(),
    'pages.tif': frames(),
    'really_png.jpg': dict(format='PNG'),
}


@pytest.mark.parametrize('name', GOOD)
def test_hostile_kinds_that_load(save, loader, name):
    path = save(name, **GOOD[name])
    assert assert_loads_or_is_named(loader, path, PIXELS) is None


@pytest.mark.parametrize('mode, kind', [
    ('L', 'jpg'), ('L', 'png'), ('L', 'tif'), ('1', 'png'), ('1', 'tif'),
    ('P', 'png'), ('P', 'tif'), ('CMYK', 'tif')])
def test_hostile_colour_modes(save, loader, mode, kind):
    image = PHOTO.convert(mode)
    path = save(f'image.{kind}', image)
    expected = np.asarray(image.convert('RGB')).astype(int)
    assert assert_loads_or_is_named(loader, path, expected) is None


def test_hostile_cmyk_of_both_signs(save, loader):
    """PIL writes Adobe's inverted values and the marker that tells it."""
    adobe = save('adobe.jpg', PHOTO.convert('CMYK'))
    assert assert_loads_or_is_named(loader, adobe, PIXELS) is None
    plain = save('plain.jpg', without_adobe_marker(adobe))
    expected = np.asarray(Image.open(plain).convert('RGB')).astype(int)
    assert assert_loads_or_is_named(loader, plain, expected) is None


@pytest.mark.parametrize('kind', ['rgb.png', 'gray.png', 'gray.tif',
                                  'rgb.tif', 'gray.pgm'])
def test_hostile_16_bits(save, loader, tmp_path, kind):
    """The high byte is what a person sees."""
    gray = kind.startswith('gray')
    deep = PIXELS[..., 0] if gray else PIXELS
    deep = deep.astype(np.uint16) * 256 + 200
    if kind.endswith('png'):
        rows = deep.astype('>u2').reshape(HEIGHT, -1)
        path = save(kind, png(WIDTH, HEIGHT, 16, 0 if gray else 2, rows))
    else:
        path = str(tmp_path / kind)
        cv2.imwrite(path, deep if gray else deep[..., ::-1])
    expected = PIXELS.astype(int)
    if gray:
        expected = np.repeat(expected[..., :1], 3, -1)
    assert assert_loads_or_is_named(loader, path, expected) is None


@pytest.mark.parametrize('kind', ['jpg', 'png', 'webp', 'tif'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_hostile_orientations(save, loader, kind, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    path = save(f'turned.{kind}', exif=exif)
    turns = [(0, 0), (0, 1), (2, 0), (2, 1), (3, 1), (3, 0), (1, 1), (1, 0)]
    turn, flip = turns[orientation - 1]
    expected = np.rot90(PIXELS, turn)
    expected = expected[:, ::-1] if flip else expected
    fault = assert_loads_or_is_named(loader, path, expected.astype(int))
    if NEW_OPENCV or kind == 'jpg':
        assert fault is None
    with Image.open(path) as image:
        seen = _as_seen(ImageOps.exif_transpose(image))[..., ::-1].astype(int)
    assert seen.shape == expected.shape and abs(seen - expected).mean() < 3


@pytest.mark.parametrize('kind', ['gif', 'webp'])
@pytest.mark.parametrize('animated', [False, True])
def test_hostile_animations(save, loader, kind, animated):
    """The first frame counts; an older OpenCV that reads none is named."""
    path = save(f'animation.{kind}', **(frames() if animated else {}))
    expected = np.asarray(Image.open(path).convert('RGB')).astype(int)
    fault = assert_loads_or_is_named(loader, path, expected)
    assert fault is None or (fault.startswith('not read by OpenCV')
                             and not NEW_OPENCV)


def transparent(mode, mask):
    if mode == 'P':
        return PHOTO.quantize(32)
    image = PHOTO.convert(mode[:-1])
    return Image.merge(mode, (*image.split(), mask))


@pytest.mark.parametrize('mode, kind', [
    ('RGBA', 'png'), ('RGBA', 'webp'), ('LA', 'png'),
    ('P', 'png')])
def test_hostile_transparency(save, loader, mode, kind):
    """The alpha channel is left out, and the colors are as stored."""
    bits = dict(transparency=bytes([0] * 32)) if mode == 'P' else {}
    path = save(f'seen_through.{kind}', transparent(mode, HALF), **bits)
    expected = np.asarray(Image.open(path).convert('RGB')).astype(int)
    assert assert_loads_or_is_named(loader, path, expected) is None


@pytest.mark.parametrize('mode', ['F', 'I', 'LAB'])
def test_hostile_tiffs_are_named(save, loader, mode):
    image = PHOTO.convert(mode) if mode == 'LAB' else PHOTO.convert(
        'L').convert(mode)
    path = save('image.tif', image)
    assert 'by OpenCV' in image_fault(path)


@pytest.mark.parametrize('kind', FORMATS)
@pytest.mark.parametrize('left', [0, 1, 9, 30, 0.5, 0.9])
def test_hostile_truncation(save, kind, left):
    whole = open(save(f'whole.{kind}'), 'rb').read()
    left = int(left * len(whole)) if isinstance(left, float) else left
    path = save(f'cut.{kind}', whole[:left])
    assert image_fault(path) in (
        'empty', 'truncated', 'damaged', 'not an image')


def test_hostile_truncated_photo_of_a_camera(save):
    """OpenCV before 5 fills the rest of such a photo with gray."""
    photo = Image.fromarray(np.random.randint(0, 255, (400, 600, 3), 'uint8'))
    for progressive in (False, True):
        data = open(save('a.jpg', photo, progressive=progressive), 'rb').read()
        assert image_fault(save('b.jpg', data[:len(data) // 2])) == 'truncated'


@pytest.mark.parametrize('content', [
    b'hello', b'<html>404 not found</html>' * 9, b'\0' * 5000,
    b'#!/bin/sh\ntouch owned\n', b'%PDF-1.4', b'\xff\xd8\xff' + b'\0' * 99,
    b'GIF89a', b'RIFF\0\0\0\0WEBPVP8 ', b'<svg xmlns="a"/>'])
@pytest.mark.parametrize('kind', ['jpg', 'png'])
def test_hostile_content_under_an_images_name(save, content, kind):
    assert image_fault(save(f'page.{kind}', content)) in (
        'not an image', 'truncated', 'damaged')


def resized_header(kind, side, data):
    """Let the header of an image claim another size."""
    if kind == 'png':
        return png(side, side, 8, 2, PIXELS)
    size = dict(jpg=struct.pack('>HH', HEIGHT, WIDTH),
                gif=struct.pack('<HH', WIDTH, HEIGHT),
                bmp=struct.pack('<II', WIDTH, HEIGHT),
                tif=None)[kind]
    if kind == 'tif':
        for tag, value in ((256, WIDTH), (257, HEIGHT)):
            for form in '<HHII', '<HHIHH':
                old = struct.pack(form, *(
                    (tag, 4, 1, value) if form == '<HHII' else
                    (tag, 3, 1, value, 0)))
                data = data.replace(old, struct.pack('<HHII', tag, 4, 1,
                                                     side))
        return data
    new = struct.pack(dict(jpg='>HH', gif='<HH', bmp='<II')[kind], side, side)
    assert size in data
    return data.replace(size, new)


@pytest.mark.parametrize('kind', ['png', 'jpg', 'gif', 'bmp', 'tif'])
def test_hostile_size_in_the_header(save, kind):
    data = open(save(f'whole.{kind}'), 'rb').read()
    path = save(f'bomb.{kind}', resized_header(kind, 50000, data))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for decode in (False, True):
        fault = image_fault(path, decode)
        assert fault == ('too large (2500000000 pixels, the limit is '
                         '178956970)')
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 100 << 10  # KiB


def test_hostile_bomb(save):
    """400 million pixels in 50 KB; they are not decoded."""
    side = 20000
    rows = (np.zeros(side // 8, np.uint8) for _ in range(side))
    path = save('bomb.png', png(side, side, 1, 0, rows))
    assert os.path.getsize(path) < 100_000
    for decode in (False, True):
        assert image_fault(path, decode).startswith('too large (400000000')


def test_hostile_text_in_a_png(save):
    """A comment that unpacks to 100 MB is not unpacked."""
    data = zlib.compress(b'a' * 100_000_000)
    chunk = b'zTXtcomment\0\0' + data
    text = (struct.pack('>I', len(chunk) - 4) + chunk +
            struct.pack('>I', zlib.crc32(chunk)))
    photo = open(save('photo.png'), 'rb').read()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert image_fault(save('text.png', photo[:33] + text + photo[33:])) in (
        None, 'damaged')
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 50 << 10


def test_hostile_exif(save, loader):
    """A broken orientation is no orientation."""
    for exif in (b'Exif\0\0garbage', b'Exif\0\0II*\0\xff\xff\xff\xff',
                 b'Exif\0\0' + b'\xff' * 200):
        path = save('photo.jpg', exif=exif)
        assert assert_loads_or_is_named(loader, path, PIXELS) is None


def test_hostile_files_that_are_none(tmp_path, save):
    """They are not opened, which could wait for ever."""
    photo = save('photo.jpg')
    faults = {'fifo': 'not a file', 'folder': 'not a file',
              'zeros': 'not a file', 'dangling': 'missing',
              'loop': 'cannot be read (Too many levels of symbolic links)',
              'link': None}
    path = {name: tmp_path / f'{name}.jpg' for name in faults}
    os.mkfifo(path['fifo'])
    path['folder'].mkdir()
    path['zeros'].symlink_to('/dev/zero')
    path['dangling'].symlink_to('nowhere.jpg')
    path['loop'].symlink_to(path['loop'])
    path['link'].symlink_to(photo)
    assert {n: image_fault(str(p)) for n, p in path.items()} == faults


@pytest.mark.skipif(os.geteuid() == 0, reason='root reads everything')
def test_hostile_permissions(save):
    path = save('photo.jpg')
    os.chmod(path, 0)
    assert image_fault(path) == 'cannot be read (Permission denied)'


def test_hostile_files_are_all_in_one_error(tmp_path, save):
    """And only they are."""
    bad = [save('text.jpg', b'hello'), save('empty.png', b''),
           save('float.tif', PHOTO.convert('L').convert('F')),
           save('bomb.png', resized_header('png', 50000, b'')),
           save('cut.jpg', open(save('photo.jpg'), 'rb').read()[:300]),
           str(tmp_path / 'gone.png'), str(tmp_path / 'fifo.png')]
    os.mkfifo(bad[-1])
    good = [save('photo.jpg'), save('gray.png', PHOTO.convert('L'))]

    class Photos:

        def __len__(self):
            return len(bad + good)

        def get_data_info(self, index):
            return dict(img_path=(bad + good)[index], gt_label=0)

    runner = SimpleNamespace(
        test_dataloader=SimpleNamespace(dataset=Photos()),
        model=SimpleNamespace(), work_dir=str(tmp_path))
    with pytest.raises(ValueError, match='7 of 9 image files') as error:
        DatasetCheckHook().before_test(runner)
    assert all(path in str(error.value) for path in bad)
    assert not any(path in str(error.value) for path in good)
    assert 'convert' in str(error.value)
