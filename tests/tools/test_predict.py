"""A user's path through predict.py, unknown_threshold.py and enroll.py."""
import csv
import json

import pytest


def read(path):
    with open(path, newline='', encoding='utf-8') as file:
        return [*csv.DictReader(file)]


def test_predictions_with_a_threshold(run_python, repo_root, tiny_config,
                                      tiny_data, trained, tmp_path):
    """Thresholds of one model; the answers are those of tools/test.py."""
    model = (tiny_config, trained.checkpoint)
    choose = repo_root / 'tools/analysis_tools/unknown_threshold.py'
    unknown = tmp_path / 'made/unknown.json'
    log = run_python(choose, *model, '--out', unknown, '--false-reject', 0.25,
                     '--unknown', tiny_data / 'train/class0').stdout
    found = json.loads(unknown.read_text())
    assert found['known'] == 12 and found['unknown'] == 4
    assert f"{found['false_accept']:.1%} of 4 other photos" in log
    cells = [found['threshold'], 100 * found['false_reject']]
    assert f'| {cells[0]:.3f} | {cells[1]:.1f} |' in log
    assert log.count('\n| 0.') == 3  # of 10, 20 and 25 %
    log = run_python(choose, *model, '--out', unknown, fails=True).stdout
    assert 'supports no threshold. Give at least 20 photos' in log

    predict = repo_root / 'tools/predict.py'
    out = tmp_path / 'made/found.csv'
    (tiny_data / 'test/class1/zz.jpg').write_text('broken')
    try:
        log = run_python(predict, *model, tiny_data / 'test', '--out', out,
                         '--unknown-below', unknown, '--top', 9).stdout
    finally:
        (tiny_data / 'test/class1/zz.jpg').unlink()
    rows = read(out)
    assert len(rows) == 13 and '1 are no whole images' in log
    broken = [row for row in rows if row['fault']]
    assert [row['answer'] for row in broken] == ['']
    rows = [row for row in rows if not row['fault']]
    for row in rows:
        low = float(row['score_1']) < found['threshold'] - 1e-4
        assert (row['answer'] == 'unknown') >= low
        assert row['answer'] in ('unknown', row['class_1'])
    rejected = sum(row['answer'] == 'unknown' for row in rows)
    assert rejected / 12 == found['false_reject']

    run_python(repo_root / 'tools/test.py', *model, '--work-dir',
               tmp_path / 'test', '--out', tmp_path / 'test.json')
    for row, other in zip(rows, json.loads(
            (tmp_path / 'test.json').read_text())):
        assert row['file'] == other['img_path']
        assert row['class_1'] == f"class{other['pred_label'][0]}"
        assert float(row['score_1']) == pytest.approx(
            max(other['pred_score']), abs=1e-4)

    (tmp_path / 'two.txt').write_text('class4\nclass2\n')
    run_python(predict, *model, tiny_data / 'test', '--out', out, '--classes',
               tmp_path / 'two.txt', '--num-workers', 0)
    assert {row['answer'] for row in read(out)} <= {'class2', 'class4'}


@pytest.mark.parametrize('args, message', [
    (['--out', 'a.txt'], 'must end in .csv'),
    (['--out', 'a.csv', '--classes', 'oak'], 'The model knows no class oak'),
    (['--out', 'a.csv', '--unknown-below', '7'], 'a probability between'),
])
def test_bad_input(run_python, repo_root, tiny_config, tiny_data, trained,
                   tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    log = run_python(repo_root / 'tools/predict.py', tiny_config,
                     trained.checkpoint, tiny_data / 'test', *args,
                     fails=True).stdout
    assert message in log and 'Traceback (' not in log


def test_a_list_is_not_written_over(run_python, repo_root, tiny_config,
                                    tiny_data, trained, tmp_path):
    path = tmp_path / 'list.csv'
    path.write_text(f'path\n{tiny_data}/test/class0/0.png\n')
    log = run_python(repo_root / 'tools/predict.py', tiny_config,
                     trained.checkpoint, path, '--out', path,
                     fails=True).stdout
    assert 'is the list of photos' in log
    assert path.read_text().startswith('path\n')


def test_enrolled_classes(run_python, repo_root, tiny_config, tiny_data,
                          trained, tmp_path):
    for name in ('new', 'held out'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'seventh').symlink_to(
            tiny_data / 'train/class0', target_is_directory=True)
    log = run_python(repo_root / 'tools/enroll.py', tiny_config,
                     trained.checkpoint, tmp_path / 'new', '--test',
                     tmp_path / 'held out', '--out', tmp_path / 'out').stdout
    for row in ('| trained head | 6 | 12 |', '| class means | 6 | 12 |',
                '| class means, enrolled | 7 | 12 |',
                '| class means, enrolled: photos of --test | 7 | 4 |',
                'Warning: 4 test photos are among the training'):
        assert row in log, log
    out = tmp_path / 'found.csv'
    run_python(repo_root / 'tools/predict.py', tmp_path / 'out/enrolled.py',
               tmp_path / 'out/enrolled.pth', tmp_path / 'held out', '--out',
               out)
    assert all(row['score_1'] for row in read(out))
    (tmp_path / 'held out/eighth').mkdir()
    (tmp_path / 'held out/eighth/a.png').write_bytes(
        (tiny_data / 'train/class1/0.png').read_bytes())
    log = run_python(repo_root / 'tools/enroll.py', tiny_config,
                     trained.checkpoint, tmp_path / 'new', '--test',
                     tmp_path / 'held out', '--out', tmp_path / 'other',
                     fails=True).stdout
    assert 'The model knows no class eighth' in log
    log = run_python(repo_root / 'tools/enroll.py', tmp_path / 'out/enrolled'
                     '.py', tmp_path / 'out/enrolled.pth', tmp_path / 'new',
                     '--out', tmp_path / 'out', fails=True).stdout
    assert 'would be written over' in log
