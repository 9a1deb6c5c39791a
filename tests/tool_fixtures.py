"""A tiny data set, its config, and one training that the tests share."""
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

REPO = Path(__file__).resolve().parents[1]
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
        contrast=dict(type='DDLQueueLoss', feat_dim=1280, queue_len=24),
        distill=dict(type='SSDTLoss')))
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


def check(done, fails):
    """Give back a finished program that has failed or not, as it should."""
    assert (done.returncode != 0) == fails, done.stdout[-5000:]
    return done


@pytest.fixture(scope='session')
def run_program():
    """Run a Python program, and give back its finished process."""

    def run(*args, fails=False, **env):
        done = subprocess.run([sys.executable, *map(str, args)],
                              env=dict(os.environ, CUDA_VISIBLE_DEVICES='',
                                       **env),
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT,
                              text=True,
                              timeout=300)
        return check(done, fails)

    return run


@pytest.fixture(scope='session')
def run_python(tmp_path_factory):
    """Like ``run_program``, in a fork of a process that has imported all."""
    out = tmp_path_factory.mktemp('server') / 'printed'
    server = subprocess.Popen(
        [sys.executable, REPO / 'tests/tool_server.py'],
        env=dict(os.environ, CUDA_VISIBLE_DEVICES=''),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == 'ready\n'

    def run(*args, fails=False, **env):
        job = dict(
            args=list(map(str, args)),
            environment=dict(os.environ, CUDA_VISIBLE_DEVICES='', **env),
            folder=os.getcwd(),
            out=str(out))
        print(json.dumps(job), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        return check(
            subprocess.CompletedProcess(job['args'], code, out.read_text()),
            fails)

    yield run
    server.stdin.close()
    server.wait()


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
def trained(tmp_path_factory, run_program, tiny_config):
    """One training with the project's own tool: two epochs of two."""
    work_dir = tmp_path_factory.mktemp('trained')
    done = run_program(REPO / 'tools/train.py', tiny_config, '--work-dir',
                       work_dir)
    return SimpleNamespace(
        work_dir=work_dir,
        checkpoint=work_dir / 'epoch_2.pth',
        log=done.stdout)


@pytest.fixture(scope='session')
def predictions(tmp_path_factory, run_python, tiny_config, trained):
    """The predictions of the test images, as tools/test.py writes them."""
    folder = tmp_path_factory.mktemp('predictions')
    run_python(REPO / 'tools/test.py', tiny_config, trained.checkpoint,
               '--work-dir', folder, '--out', folder / 'predictions.pkl')
    return folder / 'predictions.pkl'


LEAVE_WEIGHTS = """
import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class LeaveWeightsHook(Hook):

    def after_train(self, runner):
        state = runner.model.module.state_dict()
        torch.save(state, f'{runner.work_dir}/rank{runner.rank}.pth')
"""


@pytest.fixture(scope='session')
def free_port():
    """Find a port that nothing listens at."""

    def find():
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            return str(free.getsockname()[1])

    return find


@pytest.fixture
def start_script(free_port):
    """Start one of the shell scripts."""

    def start(name, *args, **env):
        env = dict(
            dict(
                os.environ,
                CUDA_VISIBLE_DEVICES='',
                PYTHON=sys.executable,
                PORT=free_port()), **env)
        return subprocess.Popen(
            ['bash', str(REPO / 'tools' / name), *map(str, args)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True)

    return start


@pytest.fixture
def finish_script():
    """Wait for one of the shell scripts, and give back what it printed."""

    def finish(process):
        log = process.communicate(timeout=300)[0]
        assert process.returncode == 0, log[-5000:]
        return log

    return finish


@pytest.fixture
def run_script(start_script, finish_script):
    """Run one of the shell scripts, and give back what it printed."""
    return lambda *args, **env: finish_script(start_script(*args, **env))


@pytest.fixture
def leaving(tiny_config, tmp_path):
    """A config whose processes leave their weights, and its PYTHONPATH."""
    (tmp_path / 'leave_weights.py').write_text(LEAVE_WEIGHTS)
    config = tmp_path / 'two.py'
    config.write_text(
        f'_base_ = {str(tiny_config)!r}\n'
        "custom_imports = dict(imports=['csd_mmpretrain', 'leave_weights'])\n"
        "custom_hooks = [dict(type='LeaveWeightsHook')]\n"
        "default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))\n"
        'train_dataloader = dict(batch_size=3)\n')
    return config, os.pathsep.join([str(tmp_path), os.environ['PYTHONPATH']])


@pytest.fixture(scope='session')
def check_weights():
    """Check what two processes of ``leaving`` leave in a folder.

    They hold one model; batch norm's statistics are their own.
    """

    def check(folder):
        first, second = (torch.load(folder / f'rank{rank}.pth')
                         for rank in range(2))
        shared = [key for key in first if 'running_' not in key]
        assert any('backbone' in key for key in shared)
        assert any('queue' in key for key in shared)
        for key in shared:
            assert torch.equal(first[key], second[key]), key
        assert any(
            not torch.equal(first[key], second[key]) for key in first)

    return check
