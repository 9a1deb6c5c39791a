"""Trainings of a suite and the options that they were started with."""
import pytest

from csd_mmpretrain.benchmark.accuracy_runs import (
    Job,
    describe_options,
    keep_options,
)
from csd_mmpretrain.benchmark.suite import Cell


def test_results_of_other_options_are_not_mixed(tmp_path):
    job = Job(Cell('a', 1), tmp_path, None, 1, 1, '')
    for options in ('', '--amp'):  # nothing has started yet
        keep_options(job, options)
    (tmp_path / 'out.log').touch()
    keep_options(job, '--amp')
    with pytest.raises(ValueError, match='with --amp, and now it is none'):
        keep_options(job, '')


def test_folders_of_earlier_versions_are_taken_as_they_are(tmp_path):
    (tmp_path / 'out.log').touch()
    keep_options(Job(Cell('a', 1), tmp_path, None, 1, 1, ''), '--amp')
    assert not (tmp_path / 'options.txt').exists()


def test_weights_are_known_by_what_they_hold(tmp_path):
    first, second = tmp_path / 'a.pth', tmp_path / 'b.pth'
    first.write_bytes(b'1')
    second.write_bytes(b'1')
    options = describe_options(str(first), amp=True)
    assert options.startswith('--amp --weights (SHA-256 ')
    assert describe_options(str(second), amp=True) == options
    second.write_bytes(b'2')
    assert describe_options(str(second), amp=True) != options
