"""Folds of one config, and what starts them."""
import os
import sys
from collections import Counter

import pytest
from mmengine.config import Config

from csd_mmpretrain.benchmark.accuracy_runs import Job, Result, run_jobs
from csd_mmpretrain.benchmark.kfold import (
    fold_jobs,
    fold_rows,
    launch_command,
    summarize_folds,
)
from csd_mmpretrain.benchmark.suite import Cell


def test_folds_hold_out_every_training_image_once(tiny_config, tmp_path):
    jobs = fold_jobs(str(tiny_config), tmp_path, 4,
                     options={'randomness.seed': 5})
    held = []
    for i, job in enumerate(jobs):
        assert job.folder == tmp_path / f'fold{i}'
        cfg = Config.fromstring(job.text, '.py')
        assert cfg.randomness.seed == 5
        train, val = cfg.train_dataloader.dataset, cfg.val_dataloader.dataset
        assert val.data_root == train.data_root
        assert 'test_mode' not in val  # some datasets set it themselves
        assert not set(train.indices) & set(val.indices)
        assert Counter(j // 4 for j in val.indices) == dict.fromkeys(
            range(6), 1)
        held += val.indices
    assert sorted(held) == list(range(24))
    again = fold_jobs(str(tiny_config), tmp_path, 4,
                      options={'randomness.seed': 5})
    assert again == jobs
    assert not list(tmp_path.glob('fold*'))  # written when they are trained


def test_groups_are_held_out_together(tiny_config, tmp_path):
    pytest.importorskip('sklearn')
    table = tmp_path / 'photos.csv'
    # Images 0 and 3 are of one plant; all of the last class are of another.
    rows = [f'class{c}/{i}.png,{c}-{i % 3 if c < 5 else 0}'
            for c in range(6) for i in range(4)]
    table.write_text('\n'.join(['path,group', *rows]))
    with pytest.raises(ValueError, match=r'2 groups of each class.*class5 '
                       r'\(1\).*add groups'):
        fold_jobs(str(tiny_config), tmp_path, 2, groups=str(table))
    jobs = fold_jobs(str(tiny_config), tmp_path, 2, groups=str(table),
                     keep_small=True)
    held = []
    for job in jobs:
        cfg = Config.fromstring(job.text, '.py')
        indices = cfg.val_dataloader.dataset.indices
        assert sorted(indices + cfg.train_dataloader.dataset.indices) == [
            *range(24)]
        for image in indices:
            assert image % 4 not in (0, 3) or {
                image // 4 * 4, image // 4 * 4 + 3} <= set(indices)
        held += indices
    assert sorted(held) == [*range(20)]  # the last class is always trained on


def test_validation_after_the_last_epoch_alone(tiny_config, tmp_path):
    job = fold_jobs(str(tiny_config), tmp_path, 2, validate=False)[0]
    assert Config.fromstring(job.text, '.py').train_cfg.val_interval == 2


@pytest.mark.parametrize('options, message', [
    ({'train_dataloader.dataset.indices': [0, 1]}, '`indices` of its own'),
    ({'train_cfg.max_epochs': 0}, 'no train_cfg.max_epochs'),
    ({'val_dataloader': None}, 'no val_dataloader'),
])
def test_bad_configs(tiny_config, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        fold_jobs(str(tiny_config), tmp_path, 2, options=options)


def test_more_folds_than_images_of_a_class(tiny_config, tmp_path):
    with pytest.raises(ValueError, match=r'num=5 folds.*class0 \(4\)'):
        fold_jobs(str(tiny_config), tmp_path, 5)


def test_summary():
    results = {
        2: Result(50., 60., 3, 10, 120.),
        0: Result(54., 54., 3, 10, 60.)
    }
    found = summarize_folds(results)
    assert found['last_mean'] == 52 and found['best_mean'] == 57
    assert found['last_deviation'] == pytest.approx(8**0.5)
    assert [row[0] for row in fold_rows(results)
            ] == ['0', '2', 'mean ± deviation']
    assert summarize_folds({0: results[0]})['last_deviation'] is None


@pytest.mark.skipif(os.name == 'nt', reason='a shell script')
@pytest.mark.parametrize('launcher, program', [('slurm', 'srun'),
                                               ('mpi', 'mpirun')])
def test_launchers_start_the_training_with_its_options(
        tmp_path, monkeypatch, launcher, program):
    """A stand-in for srun or mpirun records its command line."""
    fake = tmp_path / program
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}{os.pathsep}{os.environ["PATH"]}')
    job = Job(Cell('a', 0, 0), tmp_path / 'fold0', '', 1, 1, 'x')
    with pytest.raises(ValueError, match='finished, but no validation has'):
        run_jobs([job], [None],
                 [*launch_command(launcher, 3), 'train.py', '--amp'],
                 processes=3)
    command = (job.folder / 'out.log').read_text()
    assert '3' in command and sys.executable in command
    assert command.strip().endswith(
        f'train.py --amp {job.config} --work-dir {job.folder} --resume')
