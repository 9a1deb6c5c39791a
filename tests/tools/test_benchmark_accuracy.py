"""A user's path through tools/benchmark_accuracy.py."""
import csv
import json
import os
import subprocess
import sys
import time

import pytest

pytest.importorskip('scipy')
pytest.importorskip('matplotlib')

SUITE = """
baseline = 'plain'
seeds = [1, 2]
splits = dict(num=2)
options = {{'train_cfg.max_epochs': 1}}
runs = dict(
    plain=dict(
        config='{config}',
        options={{
            'default_hooks.ssdp.enabled': False, 'model.head.distill': None
        }}),
    csdnet=dict(config='{config}', title='CSDNet'))
"""


@pytest.fixture(scope='module')
def suite(tmp_path_factory, tiny_config):
    path = tmp_path_factory.mktemp('suite') / 'tiny.py'
    path.write_text(SUITE.format(config=tiny_config.as_posix()))
    return path


def test_suite_stops_goes_on_and_makes_its_table(run_python, repo_root, suite,
                                                 tmp_path):
    tool = repo_root / 'tools/benchmark_accuracy.py'
    command = (tool, suite, '--jobs', 2, '--seeds', 1, '--out', tmp_path)
    log = run_python(*command, '--methods', 'plain').stdout
    assert '0 of 2 trainings have a result' in log
    first = json.loads(
        (tmp_path / 'plain/seed1_split0/result.json').read_text())
    assert first['images'] == 12
    assert not list(tmp_path.rglob('*.pth'))

    log = run_python(*command).stdout
    assert '2 of 4 trainings have a result' in log
    assert '[2/2]' in log and 'min left' in log
    with open(tmp_path / 'results.csv', newline='') as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4
    assert {line['images'] for line in lines
            if line['method'] == 'csdnet'} == {'24'}
    table = (tmp_path / 'table.md').read_text()
    assert table in log and '| CSDNet |' in table
    assert (tmp_path / 'plot.png').is_file()

    # Elsewhere, what is known already is not trained again.
    elsewhere = tmp_path / 'elsewhere'
    log = run_python(tool, suite, '--seeds', 1, '--out', elsewhere,
                     '--earlier', tmp_path / 'results.csv').stdout
    assert '0 of 0 trainings have a result' in log
    assert (elsewhere / 'results.csv').read_text() == (
        tmp_path / 'results.csv').read_text()

    # Nor would one know which training a result with other options is of.
    log = run_python(*command, '--amp', fails=True).stdout
    assert 'trained with no options, but now the options are --amp' in log

    # Another config in the same folders would mix two experiments.
    suite.write_text(suite.read_text().replace("max_epochs': 1",
                                               "max_epochs': 2"))
    log = run_python(*command, fails=True).stdout
    assert 'differs from the config asked for now' in log
    log = run_python(*command, '--table-only', fails=True).stdout
    assert 'Left out' in log and 'csdnet/seed1_split0.py' in log
    assert 'no training' in log and '| CSDNet |' not in log


def test_failed_training_is_named_and_the_others_go_on(run_python, repo_root,
                                                       tiny_config, tmp_path):
    path = tmp_path / 'broken.py'
    path.write_text(
        SUITE.format(config=tiny_config.as_posix()).replace(
            'title=', "options={'model.neck.in_channels': 7}, title=").replace(
                '[1, 2]', '[1]').replace('splits = dict(num=2)\n', ''))
    log = run_python(
        repo_root / 'tools/benchmark_accuracy.py',
        path,
        '--jobs',
        2,
        '--out',
        tmp_path / 'out',
        fails=True).stdout
    assert 'csdnet/seed1 failed' in log and 'in_channels=7' in log
    assert '| plain |' in (tmp_path / 'out/table.md').read_text()


@pytest.mark.skipif(os.name == 'nt', reason='no signals')
def test_sigterm_ends_the_trainings_too(repo_root, suite, tmp_path):
    log = tmp_path / 'plain/seed1_split0/out.log'
    with subprocess.Popen(
            [sys.executable, repo_root / 'tools/benchmark_accuracy.py', suite,
             '--jobs', '1', '--seeds', '1', '--out', tmp_path],
            env=dict(os.environ, CUDA_VISIBLE_DEVICES=''),
            stderr=subprocess.PIPE, text=True) as tool:
        while not log.is_file():
            assert tool.poll() is None
            time.sleep(0.05)
        tool.terminate()
        assert 'KeyboardInterrupt' in tool.communicate(timeout=60)[1]
    import fcntl
    with open(log, 'a') as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody has it


def test_unknown_method(run_python, repo_root, suite):
    log = run_python(
        repo_root / 'tools/benchmark_accuracy.py',
        suite,
        '--methods',
        'simclr',
        fails=True).stdout
    assert 'has no simclr; it has plain, csdnet' in log


def test_weights_that_are_not_there(run_python, repo_root, suite):
    log = run_python(repo_root / 'tools/benchmark_accuracy.py', suite,
                     '--weights', 'none.pth', fails=True).stdout
    assert "--weights: there is no file 'none.pth'" in log
