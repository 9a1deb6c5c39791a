"""Tests of the numbers in a suite's table."""
import numpy as np
import pytest

from csd_mmpretrain.benchmark.accuracy_runs import Job, Result
from csd_mmpretrain.benchmark.accuracy_table import (
    _read_csv,
    format_suite,
    plot_suite,
    read_earlier,
    summarize_suite,
    write_csv,
)
from csd_mmpretrain.benchmark.suite import Cell, Method, Suite
from csd_mmpretrain.benchmark.summary import Summary, half_interval

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
    low, high = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert half_interval(list(a - b)) == pytest.approx((high - low) / 2)
    assert Summary([], list(a - b)).interval_text == (
        f'{(a - b).mean():+.2f} ({low:+.2f} to {high:+.2f})')


def test_rows_pair_the_seeds_that_both_have():
    pytest.importorskip('scipy')
    (a, first), (b, second) = summarize_suite(
        SUITE, results(a=[70., 72., 90.], b=[71., None, 93.]))
    assert (a.name, b.name) == ('a', 'b')
    assert first.differences is None
    assert first.deviation == pytest.approx(np.std([70, 72, 90], ddof=1))
    assert second.differences == [1., 3.]
    # t of one degree, deviation 1.41
    assert half_interval([1., 3.]) == pytest.approx(12.706, abs=1e-3)


def test_table_and_plot(tmp_path):
    pytest.importorskip('scipy')
    pytest.importorskip('matplotlib')
    found = results(a=[70., 72.], b=[71., 72.], c=[80.])
    lines = format_suite(SUITE, found).splitlines()
    assert lines[1] == f'| :--- |{6 * " ---: |"}'
    assert lines[2] == '| A | 71.00 ± 1.41 | 2 |  | 10 | 640 | 0.5 |'
    assert '| +0.50 (-5.85 to +6.85) |' in lines[3]
    assert '| C | 80.00 | 1 | +10.00 (one pair) |' in lines[4]
    plot_suite(SUITE, found, tmp_path / 'plot.png')
    assert (tmp_path / 'plot.png').stat().st_size > 5000


def test_csv_comes_back(tmp_path):
    path = tmp_path / 'results.csv'
    known = results(a=[70., 72.5])
    known[Cell('b', 1, split=0)] = Result(1., 2., 3, 4, 5.)
    write_csv(known, path)
    assert {cell: result for _, cell, result in _read_csv(path)} == known
    path.write_text('name,score\n')
    with pytest.raises(ValueError, match='first line must be method,seed'):
        list(_read_csv(path))


def test_earlier_results_are_joined_and_checked(tmp_path):
    files = [tmp_path / 'one.csv', tmp_path / 'two.csv']
    write_csv(results(a=[70., 72.5], b=[60.]), files[0])
    write_csv(results(b=[65.]), files[1])
    jobs = [Job(Cell(name, 1), None, '', 10, 640, '') for name in 'ab']
    known = read_earlier(files, jobs)
    assert known[Cell('a', 2)].last == 72.5 and known[Cell('b', 1)].last == 65.
    assert read_earlier([], jobs) == {}
    with pytest.raises(ValueError, match='line 2, is of a/seed1, but the'):
        read_earlier(files, jobs[1:])
    with pytest.raises(ValueError, match='10 epochs and 640 images, but .* 9'):
        read_earlier(files, [jobs[0], jobs[1]._replace(epochs=9)])


@pytest.mark.parametrize('line, says', [
    ('a,1,,70,71,10,640,30', None),
    ('a,9,,70,71,10,640,30', None),  # another seed
    ('a,2,,70,71,10,640,30', 'line 3, is a/seed2 again'),
    ('a,1,,70,71,9,640,30', 'line 3, is a/seed1 of 9 epochs'),
    ('a,9,,70,71,10,64,30', 'line 3, is a/seed9 of 10 epochs and 64 images'),
    ('a,1,0,70,71,10,640,30', 'line 3, is of a/seed1_split0, but'),
    ('c,1,,70,71,10,640,30', 'line 3, is of c/seed1, but'),
    ('a,1,,nan,71,10,640,30', 'line 3, is no result'),
    ('a,1,,70,inf,10,640,30', 'line 3, is no result'),
    ('a,1,,70,71,10,-640,30', 'line 3, is no result'),
    ('a,1,,70,71,10.5,640,30', 'line 3, is no result'),
    ('a,1,,,71,10,640,30', 'line 3, is no result'),
    ('a,1,,70,71,10,640', 'line 3, is no result'),
    ('a,1,,70,71,10,640,30,9', 'line 3, is no result'),
    ('a,x,,70,71,10,640,30', "line 3, has the seed 'x' and the split ''"),
    ('a,,,70,71,10,640,30', "line 3, has the seed '' and"),
    ('a,1,-1,70,71,10,640,30', "and the split '-1'"),
])
def test_each_line_is_checked(line, says, tmp_path):
    path = tmp_path / 'results.csv'
    write_csv(results(a=[None, 70.]), path)
    path.write_text(path.read_text() + line + '\n')
    jobs = [Job(Cell(name, 1), None, '', 10, 640, '') for name in 'ab']
    if says is None:
        assert len(read_earlier([path], jobs)) == 2
        return
    with pytest.raises(ValueError, match=f'results.csv, .*{says}'):
        read_earlier([path], jobs)
