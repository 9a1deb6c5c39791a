"""Tests of the numbers in a suite's table."""
import numpy as np
import pytest

from csd_mmpretrain.benchmark.accuracy_plot import plot_rows
from csd_mmpretrain.benchmark.accuracy_runs import Job, Result
from csd_mmpretrain.benchmark.accuracy_table import (
    format_rows,
    make_rows,
    paired_interval,
    read_csv,
    read_earlier,
    write_csv,
)
from csd_mmpretrain.benchmark.suite import Cell, Method, Suite

SUITE = Suite('s', [Method(n, n.upper(), '', {}) for n in 'abc'], 'a', [1, 2],
              None, 'accuracy/top1')


def results(**scores):
    return {
        Cell(name, seed): Result(score, score + 1, 10, 640, 30.)
        for name, values in scores.items()
        for seed, score in enumerate(values, 1) if score is not None
    }


def test_interval_is_that_of_the_paired_t_test():
    stats = pytest.importorskip('scipy.stats')
    a, b = np.random.rand(2, 7) * 10
    middle, half = paired_interval(list(a - b))
    low, high = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert middle == pytest.approx((low + high) / 2)
    assert half == pytest.approx((high - low) / 2)


def test_rows_pair_the_seeds_that_both_have():
    pytest.importorskip('scipy')
    rows = make_rows(SUITE, results(a=[70., 72., 90.], b=[71., None, 93.]))
    assert [row.method.name for row in rows] == ['a', 'b']
    assert rows[0].differences == []
    assert rows[0].deviation == pytest.approx(np.std([70, 72, 90], ddof=1))
    assert rows[1].differences == [1., 3.]
    middle, half = paired_interval(rows[1].differences)
    assert middle == 2.
    assert half == pytest.approx(12.706, abs=1e-3)  # t of one degree, sd 1.41


def test_table_and_plot(tmp_path):
    pytest.importorskip('scipy')
    pytest.importorskip('matplotlib')
    rows = make_rows(SUITE, results(a=[70., 72.], b=[71., 72.], c=[80.]))
    lines = format_rows(rows).splitlines()
    assert lines[2] == '| A | 71.00 ± 1.41 | 2 |  | 10 | 640 | 0.5 |'
    assert '| +0.50 (-5.85 to +6.85) |' in lines[3]
    assert '| +10.00 (one pair) |' in lines[4]
    plot_rows(rows, tmp_path / 'plot.png', SUITE)
    assert (tmp_path / 'plot.png').stat().st_size > 5000


def test_csv_comes_back(tmp_path):
    path = tmp_path / 'results.csv'
    known = results(a=[70., 72.5])
    known[Cell('b', 1, split=0)] = Result(1., 2., 3, 4, 5.)
    write_csv(known, path)
    assert read_csv(path) == known
    path.write_text('name,score\n')
    with pytest.raises(ValueError, match='first line must be method,seed'):
        read_csv(path)


def test_earlier_results_are_joined_and_checked(tmp_path):
    files = [tmp_path / 'one.csv', tmp_path / 'two.csv']
    write_csv(results(a=[70., 72.5], b=[60.]), files[0])
    write_csv(results(b=[65.]), files[1])
    jobs = [Job(Cell(name, 1), None, None, '', 10, 640, '') for name in 'ab']
    known = read_earlier(files, jobs)
    assert known[Cell('a', 2)].last == 72.5 and known[Cell('b', 1)].last == 65.
    assert read_earlier([], jobs) == {}
    with pytest.raises(ValueError, match='one.csv: .* has no method .a.'):
        read_earlier(files, jobs[1:])
    with pytest.raises(ValueError, match='10 epochs and 640 images, but .* 9'):
        read_earlier(files, [jobs[0], jobs[1]._replace(epochs=9)])
