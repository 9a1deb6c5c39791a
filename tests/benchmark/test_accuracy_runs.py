"""Trainings of a suite and the options that they were started with."""
import errno
import os
import signal
import subprocess
import sys
import time
from threading import Event
from types import SimpleNamespace

import pytest

from csd_mmpretrain.benchmark import accuracy_runs
from csd_mmpretrain.benchmark.accuracy_runs import (
    Job,
    _prepare_folder,
    describe_options,
    read_result,
    read_results,
    run_jobs,
)
from csd_mmpretrain.benchmark.suite import Cell

TRAIN = """
import json, pathlib, sys
log = pathlib.Path(sys.argv[3], '20260101_000000', 'vis_data')
log.mkdir(parents=True, exist_ok=True)
log.joinpath('scalars.json').write_text(
    json.dumps({'loss': 1., 'epoch': 1, 'iter': 3, 'step': 3}) + '\\n' +
    json.dumps({'accuracy/top1': 50., 'time': 1., 'step': 1}))
"""


@pytest.fixture
def job(tmp_path):
    return Job(Cell('a', 1), tmp_path / 'a', 'lr = 1', 1, 1, 'accuracy/top1')


def test_results_of_other_configs_and_options_are_not_mixed(job):
    _prepare_folder(job._replace(text='lr = 2'), '')  # nothing has started yet
    _prepare_folder(job, '--amp')
    (job.folder / 'out.log').touch()
    _prepare_folder(job, '--amp')
    with pytest.raises(ValueError, match='with --amp, but now .* are none'):
        _prepare_folder(job, '')
    with pytest.raises(ValueError, match='a.py differs from the config'):
        _prepare_folder(job._replace(text='lr = 2'), '--amp')
    assert job.config.read_text() == 'lr = 1'


def test_a_training_that_starts_while_all_stop_is_ended(job):
    _prepare_folder(job, '')
    stopped = Event()
    stopped.set()
    start = time.time()
    assert accuracy_runs._train(
        job, None, 1, [sys.executable, '-c', 'import time; time.sleep(99)'],
        [], stopped) is not None
    assert time.time() - start < 50


@pytest.mark.parametrize('text', [
    '{}', '[]', '{"last": 1', '{"last": NaN, "best": 2, "epochs": 1, '
    '"images": 1, "seconds": 1}', '{"last": 1, "best": 2, "epochs": 1, '
    '"images": 1, "seconds": 1, "place": 1}', '{"last": "high", "best": 2, '
    '"epochs": 1, "images": 1, "seconds": 1}'])
def test_files_that_are_no_result(text, tmp_path):
    (tmp_path / 'result.json').write_text(text)
    with pytest.raises(ValueError, match='result.json (is no|does not load)'):
        read_result(tmp_path)


def test_results_of_other_configs_are_left_out(job, tmp_path, capsys):
    train = tmp_path / 'train.py'
    train.write_text(TRAIN)
    jobs = [job, job._replace(cell=Cell('b', 1), folder=tmp_path / 'b')]
    run_jobs(jobs, [None], [sys.executable, str(train)])
    capsys.readouterr()
    assert set(read_results(jobs)) == {job.cell, jobs[1].cell}
    assert capsys.readouterr().out == ''
    jobs[1] = jobs[1]._replace(text='lr = 2')
    assert set(read_results(jobs)) == {job.cell}
    said = capsys.readouterr().out
    assert said.startswith('Left out') and str(jobs[1].config) in said
    jobs[1].config.unlink()  # as in folders of earlier versions
    assert len(read_results(jobs)) == 2


def test_folders_of_earlier_versions_are_taken_as_they_are(job):
    _prepare_folder(job, '')
    (job.folder / 'options.txt').unlink()
    (job.folder / 'out.log').touch()
    _prepare_folder(job, '--amp')
    assert not (job.folder / 'options.txt').exists()


def test_a_metric_that_no_validation_has_stops_the_rest(job, tmp_path):
    train = tmp_path / 'train.py'
    train.write_text(TRAIN)
    jobs = [job._replace(cell=Cell('a', seed), folder=tmp_path / str(seed),
                         metric='accuracy/top5') for seed in (1, 2)]
    with pytest.raises(ValueError, match="'accuracy/top5'; there are "
                       'accuracy/top1. Name one'):
        run_jobs(jobs, [None], [sys.executable, str(train)])
    assert not (jobs[1].folder / 'out.log').exists()
    found = [job._replace(metric='accuracy/top1') for job in jobs[:1]]
    (tmp_path / 'train.py').write_text('')  # as a resume of a finished one
    assert run_jobs(found, [None], [sys.executable, str(train)]) == {}
    assert read_result(found[0].folder).last == 50


@pytest.mark.parametrize('name', ['seconds', 'result.json'])
def test_a_kill_while_a_result_is_written(job, tmp_path, monkeypatch, name):
    """The files are there whole or not at all, so the suite goes on."""
    train = tmp_path / 'train.py'
    train.write_text(TRAIN)
    replace = os.replace

    def killed(source, target):
        if os.path.basename(target) == name:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, 'replace', killed)
    with pytest.raises(KeyboardInterrupt):
        run_jobs([job], [None], [sys.executable, str(train)])
    monkeypatch.undo()
    assert not (job.folder / name).exists()
    assert run_jobs([job], [None], [sys.executable, str(train)]) == {}
    assert read_result(job.folder).last == 50


START = """
import sys
from pathlib import Path

from csd_mmpretrain.benchmark.accuracy_runs import Job, run_jobs
from csd_mmpretrain.benchmark.suite import Cell

folder = Path(sys.argv[1])
run_jobs([Job(Cell('a', 1), folder / 'a', 'lr = 1', 1, 1, 'accuracy/top1')],
         [None], sys.argv[2:])
"""


@pytest.mark.skipif(os.name == 'nt', reason='no locks')
def test_a_training_outlives_a_kill_and_is_not_started_twice(job, tmp_path):
    train = tmp_path / 'train.py'
    train.write_text('import os, time\n'
                     'print(os.getpid(), flush=True)\ntime.sleep(100)')
    killed = subprocess.Popen([sys.executable, '-c', START, tmp_path,
                               sys.executable, train])
    log = job.folder / 'out.log'
    while not log.is_file() or not log.read_text().endswith('\n'):
        assert killed.poll() is None
        time.sleep(0.1)
    killed.kill()
    killed.wait()
    try:
        with pytest.raises(RuntimeError, match='out.log: a training is runn'):
            run_jobs([job], [None], [sys.executable, str(train)])
    finally:
        os.kill(int(log.read_text()), signal.SIGKILL)


def no_lock(*args):
    raise OSError(errno.ENOSYS, 'Function not implemented')


@pytest.mark.parametrize('fcntl', [
    None, SimpleNamespace(flock=no_lock, LOCK_EX=2, LOCK_NB=4)])
def test_without_locks(job, tmp_path, monkeypatch, fcntl):
    """As on Windows, and on some file systems of clusters."""
    monkeypatch.setattr(accuracy_runs, 'fcntl', fcntl)
    train = tmp_path / 'train.py'
    train.write_text(TRAIN)
    assert run_jobs([job], [None], [sys.executable, str(train)]) == {}


def test_weights_are_known_by_what_they_hold(tmp_path):
    first, second = tmp_path / 'a.pth', tmp_path / 'b.pth'
    first.write_bytes(b'1')
    second.write_bytes(b'1')
    options = describe_options(str(first), amp=True)
    assert options.startswith('--amp --weights (SHA-256 ')
    assert describe_options(str(second), amp=True) == options
    second.write_bytes(b'2')
    assert describe_options(str(second), amp=True) != options


def test_processes_are_an_option():
    assert describe_options(None, 4, amp=True) == '--amp --num-processes 4'
    assert describe_options(None, 1) == ''
