"""Several processes, without a GPU: nodes, FSDP, and launchers misused."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from csd_mmpretrain.runtime import launch as launch_module
from csd_mmpretrain.runtime.launch import start_processes

pytestmark = pytest.mark.skipif(
    shutil.which('bash') is None, reason='the launchers need bash')

def test_two_nodes_train_one_model(start_script, finish_script, free_port,
                                   leaving, check_weights, tmp_path):
    """Both on this machine, as torchrun knows no difference."""
    config, path = leaving
    port = free_port()
    nodes = [
        start_script('dist_train.sh', config, 1, '--work-dir', tmp_path,
                     PYTHONPATH=path, PORT=port, NNODES='2', NODE_RANK=rank,
                     MASTER_ADDR='127.0.0.1') for rank in '01'
    ]
    log, quiet = map(finish_script, nodes)
    assert '6 images, 3 on each of 2 processes' in log
    assert 'Run:' not in quiet
    check_weights(tmp_path)


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
    head=dict(cls_head=dict(in_channels=16), contrast=dict(feat_dim=16)))
"""


def test_fsdp_trains_and_resumes(run_script, run_python, repo_root,
                                 tiny_config, tmp_path):
    config = tmp_path / 'fsdp.py'
    config.write_text(FSDP.format(base=str(tiny_config)))
    work_dir = tmp_path / 'work'
    log = run_script('dist_train.sh', config, 2, '--work-dir', work_dir,
                     '--cfg-options', 'train_cfg.max_epochs=1')
    assert len(log.split('Run:\n')[0].splitlines()) < 60
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


FROZEN = """
_base_ = {base!r}
default_hooks = dict(frozen_parts=dict(type='FrozenPartsHook'))
find_unused_parameters = True
"""


def test_frozen_parts(run_script, tiny_config, tmp_path):
    config = tmp_path / 'frozen.py'
    config.write_text(FROZEN.format(base=str(tiny_config)))
    log = run_script('dist_train.sh', config, 2, '--work-dir',
                     tmp_path / 'work')
    assert 'Epoch(train) [2][2/2]' in log
    states = [
        torch.load(tmp_path / f'work/epoch_{n}.pth')['state_dict']
        for n in (1, 2)
    ]
    moved = {
        name.split('.')[0]
        for name, value in states[0].items()
        if not torch.equal(value, states[1][name])
    }
    assert 'head' in moved and 'backbone' not in moved


ENDING = """
import sys
from pathlib import Path
from mmengine.config import Config
from csd_mmpretrain.runtime.launch import launch

def count():
    threads = Path('/proc/self/task').glob('*/comm')
    return sum('gloo' in thread.read_text() for thread in threads)

def train(runner):
    runner.train()
    assert count(), 'Gloo names its threads otherwise.'

cfg = Config.fromfile(sys.argv[1])
cfg.merge_from_dict(dict(work_dir=sys.argv[2], launcher='pytorch',
                         runner_type=sys.argv[3]))
launch(cfg, train)
print('threads left:', count())
"""


@pytest.mark.skipif(not Path('/proc/self/task').is_dir(),
                    reason='counts the threads that Linux lists')
@pytest.mark.parametrize('kind', ['Runner', 'FlexibleRunner'])
def test_no_thread_outlives_the_group(kind, run_python, free_port,
                                      tiny_config, tmp_path):
    script = tmp_path / 'ending.py'
    script.write_text(ENDING)
    done = run_python(script, tiny_config, tmp_path / 'work', kind, RANK='0',
                      WORLD_SIZE='1', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1',
                      MASTER_PORT=free_port())
    assert 'threads left: 0' in done.stdout


@pytest.mark.gpu
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


def test_mpirun_with_gpus(monkeypatch):
    """mmengine then forms the group, but reads the rank alone."""
    monkeypatch.setattr(launch_module, 'get_device', lambda: 'cuda')
    for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    monkeypatch.setenv('LOCAL_RANK', '0')  # as the options of the tools do
    for name, value in (('RANK', '5'), ('SIZE', '8'), ('LOCAL_RANK', '1'),
                        ('LOCAL_SIZE', '4')):
        monkeypatch.setenv(f'OMPI_COMM_WORLD_{name}', value)
    with pytest.raises(ValueError, match='8 processes, 4 .* MASTER_ADDR'):
        start_processes(Config(dict(launcher='mpi')))
    monkeypatch.setenv('OMPI_COMM_WORLD_LOCAL_SIZE', '8')
    start_processes(Config(dict(launcher='mpi')))
    assert not torch.distributed.is_initialized()
    assert os.environ['RANK'] == '5' and os.environ['WORLD_SIZE'] == '8'
    assert os.environ['LOCAL_RANK'] == '1'
    assert os.environ['MASTER_ADDR'] == '127.0.0.1'


@pytest.mark.parametrize('launcher, missing', [
    ('pytorch', 'RANK, WORLD_SIZE'), ('slurm', 'SLURM_PROCID'),
    ('mpi', 'OMPI_COMM_WORLD_RANK')
])
def test_launcher_without_processes(monkeypatch, launcher, missing):
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=f'no {missing}'):
        start_processes(Config(dict(launcher=launcher)))
