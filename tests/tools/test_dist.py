"""Several processes, without a GPU: the launchers and what they keep equal."""
import os
import re
import shutil
import socket
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config

from csd_mmpretrain.engine.launch import start_processes

pytestmark = pytest.mark.skipif(
    shutil.which('bash') is None, reason='the launchers need bash')

# Each process leaves its weights behind.
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


@pytest.fixture
def run_script(repo_root):
    """Run one of the shell scripts, and give back what it printed."""

    def run(name, *args, **env):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        env = dict(
            os.environ,
            CUDA_VISIBLE_DEVICES='',
            PYTHON=sys.executable,
            PORT=str(port),
            **env)
        done = subprocess.run(
            ['bash', str(repo_root / 'tools' / name), *map(str, args)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300)
        assert done.returncode == 0, done.stdout[-5000:]
        return done.stdout

    return run


def test_two_processes_train_one_model(run_script, tiny_config, tmp_path):
    (tmp_path / 'leave_weights.py').write_text(LEAVE_WEIGHTS)
    config = tmp_path / 'two.py'
    config.write_text(
        f'_base_ = {str(tiny_config)!r}\n'
        "custom_imports = dict(imports=['csd_mmpretrain', 'leave_weights'])\n"
        "custom_hooks = [dict(type='LeaveWeightsHook')]\n"
        'train_dataloader = dict(batch_size=3)\n')
    path = os.pathsep.join([str(tmp_path), os.environ['PYTHONPATH']])
    log = run_script('dist_train.sh', config, 2, '--work-dir', tmp_path,
                     PYTHONPATH=path)
    assert '6 images, 3 on each of 2 processes' in log
    assert log.count('Run:') == log.count('Best epoch: ') == 1

    first, second = (torch.load(tmp_path / f'rank{rank}.pth')
                     for rank in range(2))
    # Batch norm's statistics are each process's own.
    shared = [key for key in first if 'running_' not in key]
    assert any('backbone' in key for key in shared)
    assert any('queue' in key for key in shared)
    for key in shared:
        assert torch.equal(first[key], second[key]), key
    assert sum(not torch.equal(first[key], second[key]) for key in first) > 0

    log = run_script('dist_test.sh', tiny_config, tmp_path / 'epoch_2.pth', 2,
                     '--work-dir', tmp_path / 'test')
    assert re.search(r'Epoch\(test\).*accuracy/top1', log)


def test_slurm(run_script, tiny_config, trained, tmp_path):
    """With a stand-in for srun that starts one process on this machine."""
    srun = tmp_path / 'srun'
    srun.write_text('#!/usr/bin/env bash\n'
                    'echo "$@"\n'
                    'while [ "$1" != "$PYTHON" ]; do shift; done\n'
                    'SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_LOCALID=0 '
                    'MASTER_ADDR=127.0.0.1 MASTER_PORT=$PORT exec "$@"\n')
    srun.chmod(0o755)
    log = run_script(
        'slurm_test.sh',
        'gpu',
        'name',
        tiny_config,
        trained.checkpoint,
        '--work-dir',
        tmp_path / 'with space',
        GPUS='2',
        SRUN_ARGS='--time=5 --exclusive',
        PATH=os.pathsep.join([str(tmp_path), os.environ['PATH']]))
    for option in ('-p gpu', '--job-name=name', '--ntasks=2',
                   '--ntasks-per-node=2', '--time=5 --exclusive'):
        assert option in log
    assert 'Distributed training: True' in log
    assert re.search(r'Epoch\(test\).*accuracy/top1', log)


@pytest.mark.parametrize('name', ['dist_train.sh', 'dist_test.sh',
                                  'slurm_train.sh', 'slurm_test.sh'])
def test_scripts_tell_their_use(name, repo_root):
    done = subprocess.run(['bash', str(repo_root / 'tools' / name)],
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and 'usage:' in done.stderr


def test_processes_without_a_launcher(monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(ValueError, match='--launcher is none'):
        start_processes(Config(dict(launcher='none')))


@pytest.mark.parametrize('launcher, missing', [
    ('pytorch', 'RANK, WORLD_SIZE'), ('slurm', 'SLURM_PROCID'),
    ('mpi', 'OMPI_COMM_WORLD_RANK')
])
def test_launcher_without_processes(monkeypatch, launcher, missing):
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=f'no {missing}'):
        start_processes(Config(dict(launcher=launcher)))
