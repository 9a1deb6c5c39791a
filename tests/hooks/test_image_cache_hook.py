"""A run decodes each image once, where that fits, and says what it does."""
import os
import time

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.datasets.transforms.cached_load_image import (
    CachedLoadImage,
)
from csd_mmpretrain.hooks import image_cache_hook
from csd_mmpretrain.hooks.image_cache_hook import (
    ImageCacheHook,
    _free_memory,
)

GIB = 2**30

pytestmark = pytest.mark.skipif(
    not hasattr(os, 'memfd_create'), reason='the cache needs Linux')


class DeletingHook(Hook):
    """Deletes the image files after the first epoch and its validation."""

    def __init__(self, root):
        self.root = root

    def before_train_epoch(self, runner):
        if runner.epoch == 1:
            for path in self.root.glob('*/*.png'):
                path.unlink()


@pytest.fixture
def photos(tmp_path):
    """Six training and three validation images of 20 x 30 pixels."""
    for split, count in (('train', 6), ('val', 3)):
        (tmp_path / split).mkdir()
        names = []
        for i in range(count):
            image = np.random.randint(0, 255, (20, 30, 3), np.uint8)
            Image.fromarray(image).save(tmp_path / split / f'{i}.png')
            names.append(f'{i}.png {i % 3}')
        (tmp_path / f'{split}.txt').write_text('\n'.join(names))
    return tmp_path


def dataset_of(root, split):
    return dict(type='CustomDataset', data_root=str(root),
                ann_file=f'{split}.txt', data_prefix=split, pipeline=[
                    dict(type='LoadImageFromFile'),
                    dict(type='ResizeEdge', scale=32),
                    dict(type='CenterCrop', crop_size=32),
                    dict(type='PackInputs')])


def make_runner(root, train=None, val=None, cache=None, train_cfg=None,
                **loader):
    def dataloader(dataset):
        return dict(batch_size=3, dataset=dataset,
                    sampler=dict(type='DefaultSampler', shuffle=True),
                    **dict(dict(num_workers=0), **loader))

    return Runner(
        model=dict(
            type='ImageClassifier',
            backbone=dict(type='MobileNetV2', widen_factor=0.25),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=3, in_channels=1280),
            data_preprocessor=dict(num_classes=3)),
        work_dir=str(root / 'work'), default_scope='mmpretrain',
        default_hooks=dict(
            dataset_check=dict(type='DatasetCheckHook'),
            image_cache=dict(type='ImageCacheHook', **(cache or {}))),
        train_dataloader=dataloader(train or dataset_of(root, 'train')),
        val_dataloader=dataloader(val or dataset_of(root, 'val')),
        val_cfg=dict(), val_evaluator=dict(type='Accuracy'),
        train_cfg=train_cfg or dict(
            by_epoch=True, max_epochs=3, val_interval=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)),
        experiment_name=f'cache_{time.time_ns()}')


def log_of(runner):
    with open(os.path.join(runner._log_dir,
                           f'{runner.timestamp}.log')) as file:
        return [line.split('INFO - ')[1].strip() for line in file
                if 'INFO - Image cache' in line]


def loaders_of(runner):
    return [loader.dataset.pipeline.transforms[0]
            for loader in (runner.train_dataloader, runner.val_dataloader)]


@pytest.mark.parametrize('loader', [
    dict(),
    dict(num_workers=2, persistent_workers=True),
    dict(num_workers=2, persistent_workers=False)])
def test_later_epochs_read_no_file(photos, loader):
    runner = make_runner(photos, **loader)
    runner.register_hook(DeletingHook(photos))
    before = len(os.listdir('/proc/self/fd'))
    runner.train()
    assert runner.epoch == 3
    assert log_of(runner) == [
        'Image cache: 6 images (0.00 GiB) of the training data and 3 images '
        '(0.00 GiB) of the validation data; each is decoded once, into '
        'memory that the data workers share.']
    assert all(type(t) is LoadImageFromFile for t in loaders_of(runner))
    if not loader:
        assert len(os.listdir('/proc/self/fd')) <= before


def test_without_the_cache_files_are_read_in_every_epoch(photos):
    runner = make_runner(photos, cache=dict(max_gib=0))
    runner.register_hook(DeletingHook(photos))
    with pytest.raises(FileNotFoundError):
        runner.train()
    assert log_of(runner) == []


class LookingHook(Hook):

    def before_train_epoch(self, runner):
        self.found = loaders_of(runner)


def run_and_look(runner):
    look = LookingHook()
    runner.register_hook(look)
    runner.train()
    return [type(loader) for loader in look.found], log_of(runner)


def test_validation_is_left_out_where_both_do_not_fit(photos):
    runner = make_runner(photos, cache=dict(max_gib=11000 / GIB))
    found, log = run_and_look(runner)
    assert found == [CachedLoadImage, LoadImageFromFile]
    assert len(log) == 2
    assert 'off for the validation data, as its images need' in log[0]
    assert '6 images (0.00 GiB) of the training data;' in log[1]


@pytest.mark.parametrize('workers', [0, 1])
def test_workers_that_have_started_have_no_cache(photos, workers):
    """Those of a training by iterations start before any hook."""
    runner = make_runner(
        photos, num_workers=workers, train_cfg=dict(
            by_epoch=False, max_iters=3, val_interval=3))
    runner.train()
    log = '\n'.join(log_of(runner))
    assert ('off for the training data, as its workers' in log) == workers
    assert ('6 images' in log) != workers


def test_what_does_not_fit_is_said(photos):
    runner = make_runner(photos, cache=dict(max_gib=1000 / GIB))
    found, log = run_and_look(runner)
    assert found == [LoadImageFromFile, LoadImageFromFile]
    assert len(log) == 2 and all('off for the' in line for line in log)


def test_needed_allowed_and_free_are_named(photos, monkeypatch):
    monkeypatch.setattr(image_cache_hook, '_free_memory', lambda: 3 * GIB)
    monkeypatch.setattr(image_cache_hook, 'decoded_sizes',
                        lambda paths, limit: ([], limit + GIB // 2))
    found, log = run_and_look(make_runner(photos, cache=dict(max_gib=10)))
    assert found == [LoadImageFromFile] * 2
    for line in log:
        for part in ('need 2.00 GiB', '1.50 GiB are allowed', 'max_gib=10',
                     '3.00 GiB of free', 'default_hooks.image_cache.max_gib'):
            assert part in line


def test_wrapped_data(photos):
    data = dict(type='RepeatDataset', times=2,
                dataset=dict(type='ConcatDataset', datasets=[
                    dataset_of(photos, 'train'), dataset_of(photos, 'val')]))
    runner = make_runner(photos, train=data, num_workers=2)
    runner.register_hook(DeletingHook(photos))
    runner.train()
    assert '9 images' in log_of(runner)[0]


def test_without_memory_files_images_are_loaded_as_ever(photos, monkeypatch):
    monkeypatch.delattr(os, 'memfd_create')
    found, log = run_and_look(make_runner(photos))
    assert found == [LoadImageFromFile] * 2
    assert 'the system offers no memory to share' in log[0]


def test_broken_images_still_stop_the_run(photos):
    (photos / 'train' / '3.png').write_bytes(b'\x89PNG\r\n\x1a\n')
    with pytest.raises(ValueError, match='1 of 9 image files'):
        make_runner(photos).train()


def test_a_negative_size_is_refused():
    for size in (-1, float('nan')):
        with pytest.raises(ValueError, match='max_gib=.*0 for no cache'):
            ImageCacheHook(max_gib=size)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize('lines, group, limits, wanted', [
    ('', None, {}, 8192),
    ('0::/', '', dict(max='4096', current='1024', stat='inactive_file 24'),
     4096 - 1000),
    ('0::/a/b', 'a', dict(max='4096', current='5000', stat='anon 1'), 0),
    ('0::/a/b', 'a/b', dict(max='max', current='5000', stat='anon 1'), 8192),
    ('4:cpu,memory:/job\n3:pids:/', 'memory/job',
     dict(limit_in_bytes='2000', usage_in_bytes='500',
          stat='total_inactive_file 100'), 1600)])
def test_free_memory_minds_control_groups(tmp_path, lines, group, limits,
                                          wanted):
    write(tmp_path / 'proc/meminfo', 'MemFree: 1 kB\nMemAvailable: 8 kB\n')
    if lines:
        write(tmp_path / 'proc/self/cgroup', lines + '\n')
    for name, text in limits.items():
        write(tmp_path / 'sys/fs/cgroup' / group / f'memory.{name}', text)
    assert _free_memory(tmp_path) == wanted


def test_free_memory_of_this_machine():
    assert 2**20 < _free_memory() < 2**50
