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


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


@pytest.fixture
def start_script(repo_root):
    """Start one of the shell scripts."""

    def start(name, *args, **env):
        env = dict(
            dict(
                os.environ,
                CUDA_VISIBLE_DEVICES='',
                PYTHON=sys.executable,
                PORT=free_port()), **env)
        return subprocess.Popen(
            ['bash', str(repo_root / 'tools' / name), *map(str, args)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True)

    return start


def finish(process):
    log = process.communicate(timeout=300)[0]
    assert process.returncode == 0, log[-5000:]
    return log


@pytest.fixture
def run_script(start_script):
    """Run one of the shell scripts, and give back what it printed."""
    return lambda *args, **env: finish(start_script(*args, **env))


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


def check_weights(folder):
    """Two processes hold one model; batch norm's statistics are their own."""
    first, second = (torch.load(folder / f'rank{rank}.pth')
                     for rank in range(2))
    shared = [key for key in first if 'running_' not in key]
    assert any('backbone' in key for key in shared)
    assert any('queue' in key for key in shared)
    for key in shared:
        assert torch.equal(first[key], second[key]), key
    assert sum(not torch.equal(first[key], second[key]) for key in first) > 0


def test_two_processes_train_and_resume_one_model(run_script, leaving,
                                                  tiny_config, tmp_path):
    config, path = leaving
    log = run_script('dist_train.sh', config, 2, '--work-dir', tmp_path,
                     PYTHONPATH=path)
    assert '6 images, 3 on each of 2 processes' in log
    assert log.count('Run:') == log.count('Best epoch: ') == 1
    check_weights(tmp_path)
    unbroken = torch.load(tmp_path / 'rank0.pth')
    run_script('dist_train.sh', config, 2, '--work-dir', tmp_path / 'again',
               '--resume', tmp_path / 'epoch_1.pth', PYTHONPATH=path)
    resumed = torch.load(tmp_path / 'again' / 'rank0.pth')
    for key in unbroken:
        assert torch.equal(resumed[key], unbroken[key]), key
    log = run_script('dist_test.sh', tiny_config, tmp_path / 'epoch_2.pth', 2,
                     '--work-dir', tmp_path / 'test')
    assert re.search(r'Epoch\(test\).*accuracy/top1', log)


def test_two_nodes_train_one_model(start_script, leaving, tmp_path):
    """Both on this machine, as torchrun knows no difference."""
    config, path = leaving
    port = free_port()
    nodes = [
        start_script('dist_train.sh', config, 1, '--work-dir', tmp_path,
                     PYTHONPATH=path, PORT=port, NNODES='2', NODE_RANK=rank,
                     MASTER_ADDR='127.0.0.1') for rank in '01'
    ]
    log, quiet = map(finish, nodes)
    assert '6 images, 3 on each of 2 processes' in log
    assert 'Run:' not in quiet
    check_weights(tmp_path)


SRUN = """#!/usr/bin/env bash
# A stand-in for srun that starts all tasks on this machine.
echo "$@"
while [ "$1" != "$PYTHON" ]; do
    case "$1" in --ntasks=*) tasks=${1#*=};; esac
    shift
done
export SLURM_NTASKS=$tasks MASTER_ADDR=127.0.0.1 MASTER_PORT=$PORT
for ((task = 1; task < tasks; task++)); do
    SLURM_PROCID=$task SLURM_LOCALID=$task "$@" &
done
SLURM_PROCID=0 SLURM_LOCALID=0 "$@"
status=$?
wait
exit $status
"""


def test_slurm(run_script, leaving, tmp_path):
    config, path = leaving
    srun = tmp_path / 'srun'
    srun.write_text(SRUN)
    srun.chmod(0o755)
    env = dict(
        GPUS='2',
        SRUN_ARGS='--time=5 --exclusive',
        PYTHONPATH=path,
        PATH=os.pathsep.join([str(tmp_path), os.environ['PATH']]))
    work_dir = tmp_path / 'with space'
    log = run_script('slurm_train.sh', 'gpu', 'name', config, work_dir, **env)
    for option in ('-p gpu', '--job-name=name', '--ntasks=2',
                   '--ntasks-per-node=2', '--time=5 --exclusive'):
        assert option in log
    assert '6 images, 3 on each of 2 processes' in log
    check_weights(work_dir)

    log = run_script('slurm_test.sh', 'gpu', 'name', config,
                     work_dir / 'epoch_2.pth', '--work-dir',
                     tmp_path / 'test', **env)
    assert 'Distributed training: True' in log
    assert re.search(r'Epoch\(test\).*accuracy/top1', log)


FSDP = """
_base_ = {base!r}
runner_type = 'FlexibleRunner'
strategy = dict(type='BlockFSDPStrategy', blocks=['SwinBlock'])
model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        img_size=32,
        arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
        window_size=4,
        out_indices=(1, )),
    neck=dict(in_channels=16),
    head=dict(cls_head=dict(in_channels=16), ddl=dict(feat_dim=16)))
"""


def test_fsdp_trains_and_resumes(run_script, run_python, repo_root,
                                 tiny_config, tmp_path):
    config = tmp_path / 'fsdp.py'
    config.write_text(FSDP.format(base=str(tiny_config)))
    work_dir = tmp_path / 'work'
    run_script('dist_train.sh', config, 2, '--work-dir', work_dir,
               '--cfg-options', 'train_cfg.max_epochs=1')
    log = run_script('dist_train.sh', config, 2, '--work-dir', work_dir,
                     '--resume')
    assert 'resumed epoch: 1, iter: 2' in log
    assert 'Epoch(train) [2][2/2]' in log and 'Best epoch: ' in log

    # The checkpoint is that of a whole model, in one process too.
    done = run_python(repo_root / 'tools/test.py', config,
                      work_dir / 'epoch_2.pth', '--work-dir',
                      tmp_path / 'test', '--cfg-options',
                      'runner_type=Runner')
    assert re.search(r'Epoch\(test\).*accuracy/top1', done.stdout)
    assert 'unexpected key' not in done.stdout


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason='SyncBN and NCCL need a GPU')
@pytest.mark.parametrize('kind', ['sync_bn', 'fsdp'])
def test_on_gpus(kind, run_script, tiny_config, tmp_path):
    """One process for each GPU there is."""
    config, options = tiny_config, ['--cfg-options', 'sync_bn=torch']
    if kind == 'fsdp':
        config, options = tmp_path / 'fsdp.py', []
        config.write_text(FSDP.format(base=str(tiny_config)))
    count = torch.cuda.device_count()
    log = run_script('dist_train.sh', config, count, '--work-dir',
                     tmp_path / 'work', *options,
                     CUDA_VISIBLE_DEVICES=','.join(map(str, range(count))))
    assert 'Best epoch: ' in log


def test_flexible_runner_in_one_process(run_python, repo_root, tiny_config,
                                        tmp_path):
    done = run_python(repo_root / 'tools/train.py', tiny_config, '--work-dir',
                      tmp_path, '--cfg-options',
                      'runner_type=FlexibleRunner')
    assert 'Epoch(train) [2][4/4]' in done.stdout
    assert 'Run:' in done.stdout and 'Best epoch: ' in done.stdout


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


def test_fsdp_without_a_launcher(monkeypatch):
    monkeypatch.delenv('WORLD_SIZE', raising=False)
    config = Config(
        dict(
            runner_type='FlexibleRunner',
            strategy=dict(type='BlockFSDPStrategy')))
    with pytest.raises(ValueError, match='BlockFSDPStrategy.*dist_train.sh'):
        start_processes(config)
    config.runner_type = 'Runner'
    start_processes(config)


@pytest.mark.parametrize('launcher, missing', [
    ('pytorch', 'RANK, WORLD_SIZE'), ('slurm', 'SLURM_PROCID'),
    ('mpi', 'OMPI_COMM_WORLD_RANK')
])
def test_launcher_without_processes(monkeypatch, launcher, missing):
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=f'no {missing}'):
        start_processes(Config(dict(launcher=launcher)))
