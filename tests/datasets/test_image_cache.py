"""Images from the cache are those of LoadImageFromFile, decoded once."""
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from functools import partial

import cv2
import numpy as np
import pytest
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmpretrain.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.datasets import image_cache
from csd_mmpretrain.datasets.image_cache import ImageCache, decoded_sizes
from csd_mmpretrain.datasets.transforms.cached_load_image import (
    CachedLoadImage,
    loading_steps,
)

pytestmark = pytest.mark.skipif(
    not hasattr(os, 'memfd_create'), reason='the cache needs Linux')


def random_image(height, width, *channels, dtype=np.uint8):
    top = np.iinfo(dtype).max + 1
    return np.random.randint(0, top, (height, width, *channels), dtype)


@pytest.fixture
def files(tmp_path):
    """Images of awkward kinds and sizes."""
    def save(name, array, **options):
        Image.fromarray(array).save(tmp_path / name, **options)

    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    save('rotated.jpg', random_image(7, 19, 3), exif=exif)
    save('photo.jpg', random_image(33, 18, 3))
    save('gray.jpg', random_image(9, 5))
    save('gray.png', random_image(1, 31))
    save('alpha.png', random_image(12, 8, 4))
    save('grey_alpha.png', random_image(12, 8, 2))
    save('palette.png', random_image(6, 10))
    Image.open(tmp_path / 'palette.png').convert('P').save(
        tmp_path / 'palette.png')
    cv2.imwrite(str(tmp_path / '16_bit.png'),
                random_image(11, 4, 3, dtype=np.uint16))
    cv2.imwrite(str(tmp_path / '16_bit_grey.png'),
                random_image(11, 4, dtype=np.uint16))
    save('one.png', random_image(1, 1, 3))
    return sorted(str(path) for path in tmp_path.iterdir())


def cached(loader, paths):
    sizes, _ = decoded_sizes(paths, 1e9)
    return CachedLoadImage(
        loader, ImageCache(sizes),
        {path: index for index, path in enumerate(paths)})


@pytest.mark.parametrize('to_float32', [False, True])
@pytest.mark.parametrize('color_type, backend', [
    ('color', 'cv2'), ('color', 'pillow'), ('color', None),
    ('grayscale', 'cv2'), ('grayscale', 'pillow'), ('unchanged', 'cv2'),
    ('unchanged', 'pillow'), ('color_ignore_orientation', 'cv2'),
    ('color_ignore_orientation', 'pillow')])
def test_pixels_are_those_of_load_image_from_file(files, color_type, backend,
                                                  to_float32):
    loader = LoadImageFromFile(
        to_float32=to_float32, color_type=color_type, imdecode_backend=backend)
    load = cached(loader, files)
    for path in files * 2:  # decoded, then from memory
        wanted = loader(dict(img_path=path, gt_label=3))
        loaded = load(dict(img_path=path, gt_label=3))
        image = wanted.pop('img')
        assert loaded['img'].dtype == image.dtype
        np.testing.assert_array_equal(loaded.pop('img'), image)
        assert loaded == wanted  # shapes, turned by EXIF, and the rest


def test_all_that_fits_is_in_memory_afterwards(files):
    for color_type in ('color', 'grayscale', 'color_ignore_orientation'):
        load = cached(LoadImageFromFile(color_type=color_type), files)
        for path in files:
            load(dict(img_path=path))
        for index in range(len(files)):
            assert load.cache.get(index, pytest.fail) is not None


def test_an_image_larger_than_its_place_is_decoded_anew():
    cache = ImageCache([11, 12])
    image = random_image(2, 2, 3)
    calls = []

    def decode():
        calls.append(0)
        return image

    for index, count in ((0, 3), (1, 1)):
        calls.clear()
        for _ in range(3):
            assert (cache.get(index, decode) == image).all()
        assert len(calls) == count


@pytest.mark.parametrize('turn', [
    lambda x: x[:, ::-1], lambda x: x.transpose(1, 0, 2), lambda x: x[::2],
    lambda x: x[..., 0]])
def test_views_are_kept_as_they_look(turn):
    image = turn(random_image(6, 4, 3))
    cache = ImageCache([image.nbytes])
    cache.get(0, lambda: image)
    np.testing.assert_array_equal(cache.get(0, pytest.fail), image)


def test_images_of_other_types_are_decoded_anew():
    image = random_image(6, 4, 3, dtype=np.uint16)
    cache = ImageCache([image.nbytes])
    for _ in range(2):
        assert cache.get(0, lambda: image) is image


@pytest.mark.parametrize('to_float32', [False, True])
def test_changing_an_image_does_not_change_the_cache(files, to_float32):
    load = cached(LoadImageFromFile(to_float32=to_float32), files)
    first = load(dict(img_path=files[0]))['img']
    kept = first.copy()
    first[:] = 7
    second = load(dict(img_path=files[0]))['img']
    np.testing.assert_array_equal(second, kept)
    second[:] = 8
    np.testing.assert_array_equal(load(dict(img_path=files[0]))['img'], kept)


def test_broken_images_fail_as_ever_and_are_not_kept(tmp_path):
    path = str(tmp_path / 'a.png')
    loader = LoadImageFromFile()
    load = CachedLoadImage(loader, ImageCache([27]), {path: 0})
    with pytest.raises(FileNotFoundError):
        load(dict(img_path=path))
    (tmp_path / 'a.png').write_bytes(b'no image')
    with pytest.raises(AssertionError, match='failed to load image'):
        load(dict(img_path=path))
    image = random_image(3, 3, 3)
    cv2.imwrite(path, image)
    assert (load(dict(img_path=path))['img'] == image).all()


def test_ignore_empty_gives_none(tmp_path):
    path = str(tmp_path / 'gone.png')
    load = CachedLoadImage(
        LoadImageFromFile(ignore_empty=True), ImageCache([27]), {path: 0})
    assert load(dict(img_path=path)) is None


def test_paths_that_are_not_cached_are_loaded(files):
    load = CachedLoadImage(LoadImageFromFile(), ImageCache([]), {})
    np.testing.assert_array_equal(
        load(dict(img_path=files[0]))['img'],
        LoadImageFromFile()(dict(img_path=files[0]))['img'])


def test_where_memory_runs_out_images_are_decoded(monkeypatch):
    def fail(*args):
        raise OSError(28, 'No space left on device')

    image = random_image(4, 4, 3)
    cache = ImageCache([48])
    monkeypatch.setattr(image_cache.os, 'pwrite', fail)
    assert cache.get(0, lambda: image) is image
    # A part of it only was written.
    monkeypatch.setattr(image_cache.os, 'pwrite', lambda *args: 20)
    assert cache.get(0, lambda: image) is image
    monkeypatch.undo()
    assert cache.get(0, lambda: image) is image
    assert (cache.get(0, pytest.fail) == image).all()


def test_sizes_by_the_header_hold_the_image(files):
    load = LoadImageFromFile()
    wanted = [load(dict(img_path=path))['img'].nbytes for path in files]
    assert decoded_sizes(files, 1e9) == (wanted, sum(wanted))
    assert decoded_sizes(['gone.png'], 1e9) == ([0], 0)


def test_adding_sizes_stops_at_the_limit_with_an_estimate(tmp_path):
    Image.fromarray(random_image(10, 10, 3)).save(tmp_path / 'a.png')
    paths = [str(tmp_path / 'a.png')] * 1000
    assert decoded_sizes(paths, 300_000) == ([300] * 1000, 300_000)
    for limit, count in ((299_999, 1000), (1000, 4), (-1, 1)):
        assert decoded_sizes(paths, limit) == ([300] * count, 300_000)
    assert decoded_sizes([], 0) == ([], 0)


class CountingLoader(LoadImageFromFile):
    """Writes a byte to a file for each image that it decodes."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def transform(self, results):
        file = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, b'%d\n' % os.getpid())
        os.close(file)
        time.sleep(0.01)
        return super().transform(results)


class Images(Dataset):
    """Loads images by a transform; every image comes twice in an epoch."""

    def __init__(self, load, paths):
        self.load, self.paths = load, paths

    def __len__(self):
        return 2 * len(self.paths)

    def __getitem__(self, index):
        path = self.paths[index // 2]
        return self.load(dict(img_path=path))['img']


@pytest.mark.parametrize('method, persistent', [
    ('fork', False), ('fork', True), ('spawn', True)])
def test_workers_decode_each_image_once(tmp_path, files, method, persistent):
    load = cached(CountingLoader(tmp_path / 'log'), files)
    # Batches of one: both workers need the same image at the same time.
    loader = DataLoader(
        Images(load, files), None, num_workers=2,
        persistent_workers=persistent,
        multiprocessing_context=method)
    for _ in range(2):
        images = list(loader)
        for index, image in enumerate(images):
            np.testing.assert_array_equal(
                image, LoadImageFromFile()(
                    dict(img_path=files[index // 2]))['img'])
    decoders = (tmp_path / 'log').read_text().split()
    assert len(decoders) == len(files)
    assert str(os.getpid()) not in decoders


def hammer(cache, shapes, count, seed):
    random = np.random.RandomState(seed)
    for _ in range(count):
        index = random.randint(len(shapes))
        image = cache.get(
            index, partial(np.full, shapes[index], index, np.uint8))
        assert image.shape == shapes[index] and (image == index).all()


def test_nobody_sees_a_half_written_image():
    context = multiprocessing.get_context('fork')
    shapes = [(200 + 7 * i, 301, 3) for i in range(12)]
    for round_ in range(3):
        cache = ImageCache([int(np.prod(shape)) for shape in shapes])
        workers = [
            context.Process(
                target=hammer, args=(cache, shapes, 150, 9 * round_ + i))
            for i in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
            assert worker.exitcode == 0


def die_while_decoding(cache):
    cache.get(0, partial(os.kill, os.getpid(), signal.SIGKILL))


def test_the_death_of_a_worker_that_decodes_blocks_nobody():
    cache = ImageCache([12])
    worker = multiprocessing.get_context('fork').Process(
        target=die_while_decoding, args=(cache, ))
    worker.start()
    worker.join(30)
    assert worker.exitcode == -signal.SIGKILL
    image = random_image(2, 2, 3)
    assert cache.get(0, lambda: image) is image


def open_and_read(handle, sizes):
    cache = ImageCache(sizes, handle)
    assert (cache.get(0, pytest.fail) == 5).all()
    cache.get(1, lambda: np.full((2, 2), 9, np.uint8))


def test_another_process_opens_the_cache_by_its_handle():
    cache = ImageCache([12, 4])
    cache.get(0, lambda: np.full((2, 2, 3), 5, np.uint8))
    worker = multiprocessing.get_context('fork').Process(
        target=open_and_read, args=(cache.handle, [12, 4]))
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0
    assert (cache.get(1, pytest.fail) == 9).all()


def test_a_handle_of_another_file_is_refused():
    cache, other = ImageCache([12]), ImageCache([12])
    wrong = (*other.handle[:2], *cache.handle[2:])
    with pytest.raises(OSError, match='another one'):
        ImageCache([12], wrong)
    with pytest.raises(FileNotFoundError):
        ImageCache([12], (os.getpid(), 9999, 0, 0))


def open_files():
    return len(os.listdir('/proc/self/fd'))


def test_closing_and_forgetting_leaves_no_open_file():
    before = open_files()
    cache = ImageCache([12])
    assert open_files() == before + 1
    cache.close()
    cache.close()
    assert open_files() == before
    cache = ImageCache([12])
    del cache
    assert open_files() == before


VICTIM = """
import numpy as np, os, sys, time
from torch.utils.data import DataLoader
from csd_mmpretrain.datasets.image_cache import ImageCache

class Data:
    cache = ImageCache([64 << 20])
    def __len__(self): return 4
    def __getitem__(self, index):
        self.cache.get(0, lambda: np.ones((64 << 10, 1 << 10), np.uint8))
        return index

iterator = iter(DataLoader(Data(), None, num_workers=2))
next(iterator)
print('ready', flush=True)
time.sleep(60)
"""


def names_in_shared_memory():
    """Segments and files that a process may leave behind."""
    import tempfile
    folders = ['/dev/shm', tempfile.gettempdir()]
    return {os.path.join(folder, name)
            for folder in folders if os.path.isdir(folder)
            for name in os.listdir(folder)}


def holders_of_memory():
    """Processes that have an image cache open, but for this one."""
    found = set()
    for process in filter(str.isdigit, os.listdir('/proc')):
        try:
            for file in os.listdir(f'/proc/{process}/fd'):
                link = os.readlink(f'/proc/{process}/fd/{file}')
                if link.startswith('/memfd:image_cache'):
                    found.add(int(process))
        except OSError:
            continue
    return found - {os.getpid()}


def test_nothing_is_left_after_a_kill(tmp_path):
    before = holders_of_memory()
    (tmp_path / 'victim.py').write_text(VICTIM)
    names = names_in_shared_memory()
    victim = subprocess.Popen([sys.executable, tmp_path / 'victim.py'],
                              stdout=subprocess.PIPE, text=True)
    assert victim.stdout.readline() == 'ready\n'
    ours = holders_of_memory() - before
    assert len(ours) >= 3  # the process and its workers
    victim.kill()
    victim.wait()
    deadline = time.time() + 30  # torch's workers look for their parent
    while time.time() < deadline and holders_of_memory() & ours:
        time.sleep(0.2)
    assert not holders_of_memory() & ours
    new = names_in_shared_memory() - names
    assert not [name for name in new if 'image_cache' in name
                or name.startswith('/dev/shm/torch_')
                or name.startswith('/dev/shm/psm_')]


class OwnLoader(BaseTransform):

    def transform(self, results):
        return results


def custom(root, *pipeline, **more):
    return dict(type='CustomDataset', data_root=str(root), pipeline=[
        *pipeline, dict(type='PackInputs')], **more)


@pytest.mark.parametrize('serialize', [False, True])
@pytest.mark.parametrize('wrap, factor', [
    (lambda d: d, 1),
    (lambda d: dict(type='RepeatDataset', times=3, dataset=d), 1),
    (lambda d: dict(type='ConcatDataset', datasets=[d, d]), 2),
    (lambda d: dict(
        type='ClassBalancedDataset', oversample_thr=.9, dataset=d), 1),
    (lambda d: dict(
        type='RepeatDataset', times=2,
        dataset=dict(type='ConcatDataset', datasets=[d, d, d])), 3)])
def test_loaders_are_found_behind_wrappers(tiny_folder, wrap, factor,
                                           serialize):
    dataset = DATASETS.build(wrap(custom(
        tiny_folder, dict(type='LoadImageFromFile', color_type='grayscale'),
        dict(type='ResizeEdge', scale=4), serialize_data=serialize)))
    steps = list(loading_steps(dataset))
    assert len(steps) == factor
    for transforms, position, paths in steps:
        assert position == 0 and len(set(paths)) == len(paths) == 4
        assert type(transforms[0]) is LoadImageFromFile


@pytest.fixture
def tiny_folder(tmp_path):
    for label in 'ab':
        (tmp_path / label).mkdir()
        for index in range(2):
            Image.fromarray(random_image(8, 9, 3)).save(
                tmp_path / label / f'{index}.png')
    return tmp_path


def test_what_is_not_load_image_from_file_is_left(tiny_folder):
    for load in (OwnLoader(), CountingLoader('log'),
                 LoadImageFromFile(backend_args=dict(backend='petrel'))):
        dataset = DATASETS.build(custom(tiny_folder))
        dataset.pipeline.transforms.insert(0, load)
        assert not list(loading_steps(dataset))


def test_a_pickle_keeps_the_cache_shared(files):
    load = cached(LoadImageFromFile(), files[:1])
    copy = pickle.loads(multiprocessing.reduction.ForkingPickler.dumps(load))
    load(dict(img_path=files[0]))
    assert copy.cache is not load.cache
    assert copy.cache.get(0, pytest.fail) is not None
