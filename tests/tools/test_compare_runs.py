"""Runs read from work directories, grouped and compared."""
import json

import pytest

from csd_mmpretrain.benchmark.run_comparison import (
    comparison_rows,
    group_runs,
)
from csd_mmpretrain.benchmark.run_logs import (
    read_run,
    read_run_config,
    read_scores,
    score_names,
)

METRIC = 'accuracy/top1'
CONFIG = """
train_cfg = dict(by_epoch=True, max_epochs={epochs}, val_interval=2)
randomness = dict(seed={seed})
train_dataloader = dict(dataset=dict(type='{kind}', {extra}))
"""


@pytest.fixture
def write_run(tmp_path):
    """Write what a training leaves: config and scores of its attempts."""

    def write(name, *attempts, seed=1, config='plain.py', epochs=None,
              kind='CustomDataset', extra=''):
        folder = tmp_path / name
        for number, scores in enumerate(attempts):
            log = folder / f'2026010{number + 1}_000000' / 'vis_data'
            log.mkdir(parents=True)
            steps = scores if isinstance(scores, dict) else dict(
                enumerate(scores, 1))
            lines = [dict(loss=1., epoch=min(steps), iter=7, step=7)]
            lines += [{METRIC: s, 'step': step} for step, s in steps.items()]
            log.joinpath('scalars.json').write_text(
                '\n'.join(map(json.dumps, lines)))
            log.joinpath('config.py').write_text(
                CONFIG.format(epochs=epochs or max(steps), seed=seed,
                              kind=kind, extra=extra))
        (folder / config).touch()
        return folder

    return write


def test_attempts_are_joined_and_the_newer_counts(write_run):
    folder = write_run('a', {1: 10., 2: 20., 3: 30.}, {3: 33., 4: 44.})
    assert read_scores(folder, METRIC) == {1: 10, 2: 20, 3: 33, 4: 44}
    run = read_run(folder, METRIC)
    assert (run.group, run.seed, run.finished) == ('plain', 1, True)
    assert not read_run(write_run('b', [1., 2.], epochs=3), METRIC).finished


def test_an_attempt_from_an_earlier_checkpoint(write_run):
    folder = write_run('a', {1: 10., 2: 20., 3: 30.}, {4: 40., 5: 50.},
                       {3: 33.}, epochs=5)
    assert read_scores(folder, METRIC) == {1: 10, 2: 20, 3: 33}


def test_an_attempt_from_the_start_replaces_an_earlier_training(write_run):
    folder = write_run('a', {5: 50., 10: 90.}, {5: 40.}, epochs=10)
    assert read_scores(folder, METRIC) == {5: 40}
    assert not read_run(folder, METRIC).finished


@pytest.mark.parametrize('order', [(2, 1), (1, 3, 2), (3, 1, 2), (3, 2, 1)])
def test_attempts_of_a_clock_that_was_put_back(write_run, order):
    """Attempt i is named as if it were the order[i]th."""
    attempts = [{1: 10., 2: 20., 3: 30.}, {3: 33., 4: 44.},
                {5: 55., 6: 66.}][:len(order)]
    folder = write_run('a', *attempts, epochs=6)
    logs = sorted(path for path in folder.iterdir() if path.is_dir())
    for path in logs:
        path.rename(f'{path}_')
    for path, place in zip(logs, order):
        config = path.with_name(f'{path.name}_') / 'vis_data/config.py'
        config.write_text(f'{config.read_text()}\nown = {str(path)!r}\n')
        path.with_name(f'{path.name}_').rename(folder / f'2020010{place}')
    expected = {1: 10., 2: 20., 3: 33., 4: 44.}
    if len(order) == 3:
        expected.update({5: 55., 6: 66.})
    assert read_scores(folder, METRIC) == expected
    assert read_run_config(folder).own == str(logs[-1])


@pytest.mark.parametrize('score', [float('nan'), float('inf'), 'high', None])
def test_scores_that_are_no_numbers(write_run, score):
    folder = write_run('a', {1: 10., 2: score})
    with pytest.raises(ValueError, match=f'a: the validation of step 2 has '
                       f'{METRIC} {score}, which is no finite'):
        read_run(folder, METRIC)


def test_names_of_scores(write_run):
    assert score_names(write_run('a', [1., 2.])) == [METRIC]


def test_a_test_in_the_folder_does_not_rename_the_training(write_run):
    folder = write_run('a', [1.])
    (folder / 'plain_test.py').touch()
    assert read_run(folder, METRIC).group == 'plain'
    (folder / 'plain.py').unlink()
    assert read_run(folder, METRIC).group == 'plain_test'


def test_each_metric_has_its_own_baseline(write_run, repo_root, run_python):
    folders = [write_run(name, [score], config=f'{name}.py')
               for name, score in (('plain', 10.), ('csdnet', 12.))]
    log = run_python(repo_root / 'tools/analysis_tools/compare_runs.py',
                     *folders, '--metric', METRIC, METRIC).stdout
    assert log.count(f'plain, {METRIC}') == log.count('baseline |') == 2
    assert log.count('+2.00, one seed in common') == 2


def test_folds_of_wrapped_datasets_are_other_images(write_run):
    pytest.importorskip('scipy')
    fold = "num_splits=2, fold={}, dataset=dict(type='CustomDataset')".format
    runs = [
        read_run(write_run(f'{name}{i}', [score + i], config=f'{name}.py',
                           kind='KFoldDataset', extra=fold(i)), METRIC)
        for name, score in (('plain', 50.), ('csdnet', 53.)) for i in (0, 1)
    ]
    assert comparison_rows(group_runs(runs), 'plain')[1][-2:] == (
        '+3.00 (+3.00 to +3.00)', 'all differences equal (2 pairs)')


@pytest.mark.parametrize('cut', [
    b'{"accuracy/top1": 30.0, "st', b'\0' * 9, b'{"a": "\xff\xe2', b'\n'])
def test_a_line_that_was_cut_off_is_left_out(write_run, cut):
    folder = write_run('a', {1: 10., 2: 20.}, {3: 33.})
    first = folder / '20260101_000000/vis_data/scalars.json'
    first.write_bytes(first.read_bytes() + b'\n' + cut)
    assert read_scores(folder, METRIC) == {1: 10, 2: 20, 3: 33}


@pytest.mark.parametrize('folder, config, pattern, group', [
    ('x', 'grocery81.py', None, 'grocery81'),
    ('x', 'grocery81_seed3.py', None, 'grocery81'),
    ('csdnet/seed1_split0', 'seed1_split0.py', None, 'csdnet'),
    ('cv/fold0', 'fold0.py', None, 'cv'),
    ('beta-3/seed1', 'seed1.py', r'(beta)-\d', 'beta'),
    ('beta-3/seed1', 'seed1.py', r'beta-\d', 'beta-3'),
])
def test_group(write_run, folder, config, pattern, group):
    run = read_run(write_run(folder, [1.], config=config), METRIC, pattern)
    assert run.group == group


def test_comparison_is_that_of_scipy(write_run):
    stats = pytest.importorskip('scipy.stats')
    plain, ours = [70., 72., 71., 75.], [71., 74., 74., 75.5]
    runs = [read_run(write_run(f'p{s}', [50., v], seed=s), METRIC)
            for s, v in enumerate(plain)]
    runs += [read_run(write_run(f'o{s}', [50., 99., v], seed=s,
                                config='csdnet.py'), METRIC)
             for s, v in reversed(list(enumerate(ours)))]
    groups = group_runs(runs)
    test = stats.ttest_rel(ours, plain)
    low, high = test.confidence_interval()
    cells = comparison_rows(groups, 'plain')
    assert cells[0][-2:] == ('baseline', '')
    assert cells[1][-2] == (
        f'{(sum(ours) - sum(plain)) / 4:+.2f} ({low:+.2f} to {high:+.2f})')
    assert cells[1][-1] == f'p = {test.pvalue:.3f} (4 pairs)'
    assert cells[1][5] == '2'  # the epoch of the best
    best = comparison_rows(groups, 'plain', 'best')
    assert best[1][2:5] == ('99.00 ± 0.00', '99.00', '99.00')


@pytest.mark.parametrize('seeds, text', [
    ((7, 8), 'no seed in common'),
    ((1, 8), '+5.00, one seed in common: no interval'),
])
def test_too_few_common_seeds_are_said_in_words(write_run, seeds, text):
    runs = [read_run(write_run(f'p{s}', [70.], seed=s), METRIC)
            for s in (1, 2)]
    runs += [read_run(write_run(f'o{s}', [75.], seed=s, config='o.py'),
                      METRIC) for s in seeds]
    groups = group_runs(runs)
    assert comparison_rows(groups, 'plain')[1][-2:] == (text, '')


def test_equal_differences(write_run):
    pytest.importorskip('scipy')
    runs = [read_run(write_run(f'{c}{s}', [v], seed=s, config=f'{c}.py'),
                     METRIC)
            for c, v in (('a', 1.), ('b', 2.)) for s in (1, 2)]
    cells = comparison_rows(group_runs(runs), 'a')[1]
    assert cells[-1] == 'all differences equal (2 pairs)'


def test_splits_of_one_seed_are_pairs_of_their_own(write_run):
    pytest.importorskip('scipy')

    def extra(i):
        return f'indices=[{i}, 9]'

    runs = [read_run(write_run(f'{c}/seed1_split{i}', [v + i * i],
                               config=f'seed1_split{i}.py', extra=extra(i)),
                     METRIC)
            for c, v in (('a', 1.), ('b', 2.)) for i in (0, 1)]
    assert comparison_rows(group_runs(runs), 'a')[1][-2:] == (
        '+1.00 (+1.00 to +1.00)', 'all differences equal (2 pairs)')


def test_two_runs_of_one_seed_are_refused(write_run):
    runs = [read_run(write_run(n, [1.]), METRIC) for n in 'ab']
    with pytest.raises(ValueError, match="both 'plain' with seed 1.*--group"):
        group_runs(runs)


def test_bad_input(write_run, tmp_path):
    folder = write_run('a', [1.])
    with pytest.raises(ValueError, match="score 'accuracy/top9'"):
        read_run(folder, 'accuracy/top9')
    with pytest.raises(ValueError, match='--group .* matches nothing'):
        read_run(folder, METRIC, 'x+y')
    with pytest.raises(FileNotFoundError, match='is no folder'):
        read_run(tmp_path / 'gone', METRIC)
    with pytest.raises(FileNotFoundError, match='no work directory'):
        read_run(tmp_path, METRIC)
    groups = group_runs([read_run(folder, METRIC)])
    with pytest.raises(ValueError, match="--baseline 'b' is none of .* plain"):
        comparison_rows(groups, 'b')


def test_tools_on_work_directories(write_run, repo_root, run_python,
                                   tmp_path):
    """compare_runs.py and soyageing_mean.py as a user calls them."""
    pytest.importorskip('scipy')
    tools = repo_root / 'tools/analysis_tools'
    folders = [write_run(f'{c}/seed{s}', [50., v + s], seed=s,
                         config=f'seed{s}.py')
               for c, v in (('plain', 70.), ('csdnet', 72.)) for s in (1, 2)]
    stopped = write_run('csdnet/seed3', [50.], seed=3, epochs=2,
                        config='seed3.py')
    table, figure = tmp_path / 'out/table.md', tmp_path / 'out/curves.png'
    log = run_python(tools / 'compare_runs.py', *folders, stopped, '--out',
                     table, '--show-path', figure).stdout
    assert 'seed3 is left out: its last validation is at 1 of 2' in log
    assert table.read_text() in log
    assert '| csdnet | 2 | 73.50 ± 0.71 |' in log and '+2.00 (+2.00' in log
    assert figure.stat().st_size > 5000

    stages = [write_run(f'soy{s}', [v], kind='SoyAgeing',
                        extra=f"stage='{s}'")
              for s, v in (('R1', 60.), ('R4', 70.), ('R5', 71.),
                           ('R6', 72.))]
    metrics = tmp_path / 'r3.json'
    metrics.write_text(json.dumps({METRIC: 67.}))
    log = run_python(tools / 'soyageing_mean.py', *stages,
                     f'R3={metrics}').stdout
    assert '| mean | 68.00 |' in log and '| R3 | 67.00 |' in log
    log = run_python(tools / 'soyageing_mean.py', *stages, stages[0],
                     fails=True).stdout
    assert 'R3 is missing, R1 is there twice' in log
