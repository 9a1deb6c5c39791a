"""A tiny data set, its config, and one training that the tests share."""
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

REPO = Path(__file__).resolve().parents[2]
CLASSES = 6

CONFIG = """
_base_ = ['{repo}/configs/_base_/default_runtime.py']

data_preprocessor = dict(
    num_classes=6, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=40),
    dict(type='CenterCrop', crop_size=32),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=6,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='CustomDataset', data_root='{data}/train', pipeline=pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='SeededBatchSampler'))
val_dataloader = dict(
    batch_size=6,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='CustomDataset', data_root='{data}/test', pipeline=pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Accuracy', topk=(1, 2))
test_dataloader = dict(
    batch_size=6,
    num_workers=0,
    dataset=val_dataloader['dataset'],
    sampler=val_dataloader['sampler'])
test_evaluator = val_evaluator

model = dict(
    type='ImageClassifier',
    backbone=dict(type='MobileNetV2', widen_factor=0.25),
    neck=dict(type='SSDPNeck', in_channels=1280),
    head=dict(
        type='CSDHead',
        cls_head=dict(
            type='LinearClsHead', num_classes=6, in_channels=1280),
        ddl=dict(type='DDLQueueLoss', feat_dim=1280, queue_len=24),
        ssdt=dict(type='SSDTLoss')))
default_hooks = dict(
    logger=dict(interval=1),
    ssdp=dict(type='SSDPHook', view=dict(type='EraseShuffleView')))

optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=4),
    dict(type='CosineAnnealingLR', T_max=3),
]
auto_scale_lr = dict(base_batch_size=6)
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
val_cfg = dict()
test_cfg = dict()
"""


@pytest.fixture(scope='session')
def mmpretrain_tools():
    """The folder of the tools that the installed mmpretrain brings."""
    import mmpretrain
    return Path(mmpretrain.__file__).parent / '.mim' / 'tools'


@pytest.fixture(scope='session')
def run_python():
    """Run a Python program, and give back its finished process."""

    def run(*args, fails=False, **env):
        environment = dict(os.environ, CUDA_VISIBLE_DEVICES='', **env)
        done = subprocess.run([sys.executable, *map(str, args)],
                              env=environment,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT,
                              text=True,
                              timeout=300)
        assert (done.returncode != 0) == fails, done.stdout[-5000:]
        return done

    return run


@pytest.fixture(scope='session')
def tiny_data(tmp_path_factory):
    """Drawn images of six classes: four each to train, two each to test."""
    root = tmp_path_factory.mktemp('data')
    random = np.random.RandomState(0)
    for split, count in (('train', 4), ('test', 2)):
        for label in range(CLASSES):
            folder = root / split / f'class{label}'
            folder.mkdir(parents=True)
            for index in range(count):
                image = random.randint(0, 60, (48, 48, 3), dtype=np.uint8)
                image[8 * label:8 * label + 8] += 150
                Image.fromarray(image).save(folder / f'{index}.png')
    return root


@pytest.fixture(scope='session')
def tiny_config(tmp_path_factory, tiny_data):
    """A config of CSDNet that trains in a second an epoch."""
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    path.write_text(CONFIG.format(repo=REPO.as_posix(),
                                  data=tiny_data.as_posix()))
    return path


@pytest.fixture(scope='session')
def trained(tmp_path_factory, run_python, tiny_config):
    """One training with the project's own tool: two epochs of two."""
    work_dir = tmp_path_factory.mktemp('trained')
    done = run_python(REPO / 'tools/train.py', tiny_config, '--work-dir',
                      work_dir)
    return SimpleNamespace(
        work_dir=work_dir,
        checkpoint=work_dir / 'epoch_2.pth',
        log=done.stdout)
