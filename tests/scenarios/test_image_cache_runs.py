"""A training with the cache equals one without, and one that was resumed."""
import os
import subprocess
import sys
import time

import pytest
import torch

pytestmark = pytest.mark.skipif(
    not hasattr(os, 'memfd_create'), reason='the cache needs Linux')

WORKERS = ('train_dataloader.num_workers=2', 'val_dataloader.num_workers=1',
           'train_dataloader.persistent_workers=True',
           'randomness.deterministic=True')
OFF = 'default_hooks.image_cache.max_gib=0'


def weights(folder):
    return torch.load(folder / 'epoch_2.pth', weights_only=False)


def test_the_cache_changes_no_weight(run_python, repo_root, tiny_config,
                                     tmp_path):
    train = [repo_root / 'tools/train.py', tiny_config, '--work-dir']
    options = ['--cfg-options', *WORKERS]
    log = run_python(*train, tmp_path / 'on', *options).stdout
    assert '24 images (0.00 GiB) of the training data and 12 images' in log
    log = run_python(*train, tmp_path / 'off', *options, OFF).stdout
    assert 'Image cache' not in log
    run_python(*train, tmp_path / 'on', '--resume',
               tmp_path / 'on' / 'epoch_1.pth', '--work-dir',
               tmp_path / 'resumed', *options)
    plain = weights(tmp_path / 'off')
    for other in map(weights, (tmp_path / 'on', tmp_path / 'resumed')):
        assert other['state_dict'].keys() == plain['state_dict'].keys()
        for name, value in plain['state_dict'].items():
            assert torch.equal(other['state_dict'][name], value), name


def holders(pids=None):
    """Processes that have the memory of a cache open."""
    found = set()
    for process in pids or filter(str.isdigit, os.listdir('/proc')):
        try:
            for file in os.listdir(f'/proc/{process}/fd'):
                link = os.readlink(f'/proc/{process}/fd/{file}')
                if link.startswith('/memfd:image_cache'):
                    found.add(process)
        except OSError:
            continue
    return found


def test_nothing_is_left_of_a_killed_training(repo_root, tiny_config,
                                              tmp_path):
    before = holders()
    run = subprocess.Popen(
        [sys.executable, repo_root / 'tools/train.py', tiny_config,
         '--work-dir', tmp_path, '--cfg-options', *WORKERS,
         'train_cfg.max_epochs=1000'],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seen = []
    for line in run.stdout:
        seen.append(line)
        if 'Epoch(train)' in line:
            break
    run.kill()
    run.wait()
    assert any('Image cache: 24 images' in line for line in seen), seen
    deadline = time.time() + 60  # torch's workers look for their parent
    while time.time() < deadline and holders() - before:
        time.sleep(0.5)
    assert not holders() - before


def test_processes_of_one_machine_share_a_cache(repo_root, tiny_config,
                                                tmp_path):
    """The first process decodes everything, the second has no files."""
    (tmp_path / 'look.py').write_text(LOOK)
    config = tmp_path / 'shared.py'
    config.write_text(
        f'_base_ = {str(tiny_config)!r}\n'
        "custom_imports = dict(imports=['csd_mmpretrain', 'look'])\n"
        "custom_hooks = [dict(type='LookHook')]\n"
        'train_dataloader = dict(batch_size=3)\n')
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone',
         '--nproc_per_node=2', repo_root / 'tools/train.py', config,
         '--work-dir', tmp_path, '--launcher', 'pytorch'],
        env=dict(os.environ, CUDA_VISIBLE_DEVICES='', PYTHONPATH=os.pathsep
                 .join([str(tmp_path), os.environ['PYTHONPATH']])),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=300)
    assert done.returncode == 0, done.stdout[-5000:]
    first, second = ((tmp_path / f'rank{rank}').read_text()
                     for rank in range(2))
    assert first == second and first.startswith('24 24 ')


LOOK = """
import os
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class LookHook(Hook):
    priority = 'LOWEST'

    def after_train_epoch(self, runner):
        load = runner.train_dataloader.dataset.pipeline.transforms[0]
        def fail():
            raise RuntimeError('not decoded by any process')
        if runner.epoch == 0:
            return
        found = [load.cache.get(index, fail) is not None
                 for index in load.indices.values()]
        state = os.fstat(load.cache._file)
        with open(f'{runner.work_dir}/rank{runner.rank}', 'w') as file:
            file.write(f'{len(found)} {sum(found)} '
                       f'{state.st_dev} {state.st_ino}')
"""
