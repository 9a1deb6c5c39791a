"""The table of unpacked datasets, and its exit code."""
import os
import runpy
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from csd_mmpretrain.datasets.ultra_fgvc_check import (
    RELEASE,
    check_release,
    format_reports,
    is_right,
)


@pytest.fixture(scope='module')
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp('picture') / 'leaf.png'
    cv2.imwrite(str(path), np.random.randint(0, 255, (8, 8, 3), np.uint8))
    return path


@pytest.fixture
def cotton(tmp_path, picture):
    """Cotton80's counts with drawn images."""
    root = tmp_path / 'COTTON'
    (root / 'anno').mkdir(parents=True)
    (root / 'images').mkdir()
    for split, numbers in (('train', (1, 3, 5)), ('test', (2, 4, 6))):
        names = [(f'{label}_{k}_{split}.png', label)
                 for label in range(1, 81) for k in numbers]
        (root / 'anno' / f'{split}.txt').write_text(
            ''.join(f'{name} {label}\n' for name, label in names))
        for name, _ in names:
            os.link(picture, root / 'images' / name)
    return root


@pytest.fixture
def run_tool(repo_root, monkeypatch, capsys):
    """Run the tool's main within this process; its exit code and output."""

    def run(*args):
        tool = repo_root / 'tools' / 'dataset_tools' / 'check_ultra_fgvc.py'
        monkeypatch.setattr(
            sys, 'argv', [str(tool), *map(str, args), '--debug'])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(tool), run_name='__main__')
        return int(ended.value.code), capsys.readouterr().out

    return run


def test_whole_set_and_exit_code(repo_root, run_tool, cotton):
    done = subprocess.run(
        [sys.executable, 'tools/dataset_tools/check_ultra_fgvc.py',
         str(cotton.parent), '--workers', '2'], cwd=repo_root, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200)
    assert done.returncode == 0, done.stdout
    row = next(line for line in done.stdout.splitlines()
               if line.startswith('Cotton80'))
    assert row.split() == ['Cotton80', 'COTTON', 'complete', '80/80',
                           '240/240', '240/240', '-', '3', '0', '0', '0']
    assert done.stdout.count('absent') == 8
    (cotton / 'images' / '7_1_train.png').unlink()
    code, output = run_tool(cotton.parent)
    assert code == 1 and '7_1_train.png' in output


def test_asked_for_but_absent(run_tool, cotton):
    reports = check_release(cotton.parent, ['Cotton80', 'SoyLocal'])
    assert [cells['state'] for cells, _ in reports] == ['complete', 'absent']
    assert is_right(reports)
    assert not is_right(reports, all_wanted=True)
    code, output = run_tool(cotton.parent, '--sets', 'SoyGene')
    assert code == 1 and 'absent' in output


def test_nothing_there(tmp_path):
    assert not is_right(check_release(tmp_path))
    with pytest.raises(FileNotFoundError, match='parent folder'):
        check_release(tmp_path / 'gone')


def check(cotton):
    """The cells of the table, and the text below it."""
    reports = check_release(cotton.parent, ['Cotton80'])
    (cells, notes), = reports
    table, below = (format_reports(reports) + '\n\n').split('\n\n')[:2]
    assert table.split()[-11:] == list(cells.values())
    assert below.splitlines() == notes
    return cells, below


def test_missing_extra_and_unreadable(cotton):
    images = cotton / 'images'
    (images / '1_1_train.png').unlink()
    whole = bytearray((images / '1_2_test.png').read_bytes())
    (images / '1_2_test.png').unlink()
    whole[60] ^= 255
    (images / '1_2_test.png').write_bytes(whole)
    (images / '2_2_test.png').unlink()
    (images / '2_2_test.png').write_bytes(whole[:50])
    (images / 'stray.png').touch()
    (images / '.hidden').touch()
    cells, notes = check(cotton)
    assert cells['state'] == 'wrong'
    assert [cells[name] for name in ('missing', 'extra', 'unreadable')] == [
        '1', '1', '2']
    assert notes.splitlines() == [
        f'{cotton}: 1 missing images: 1_1_train.png; unpack them again',
        f'{cotton}: 2 unreadable images: 1_2_test.png (damaged), '
        '2_2_test.png (truncated); unpack them again',
        f'{cotton}: 1 files in no list, which do no harm: stray.png']


def test_extra_files_do_no_harm(cotton):
    (cotton / 'images' / 'notes.txt').touch()
    cells, notes = check(cotton)
    assert cells['state'] == 'complete' and cells['extra'] == '1'
    assert 'notes.txt' in notes


@pytest.mark.parametrize('damage, expected', [
    (lambda text: text[:text.rindex('80_5')],
     ["'anno/train.txt' has 239 images, expected 240",
      'has 2-3 images per class, expected 3']),
    (lambda text: text.replace('80_1_train.png 80', '80_1_train.png 79'),
     ['has 2-4 images per class']),
    (lambda text: text + 'more.png 81\n', ['line 241', '1..80']),
    (lambda text: text.replace('1_1_train.png 1\n', '1_2_test.png 1\n', 1),
     ['1 files are in two lists: 1_2_test.png']),
    (lambda text: '', ['empty']),
])
def test_wrong_lists(cotton, damage, expected):
    path = cotton / 'anno' / 'train.txt'
    path.write_text(damage(path.read_text()))
    cells, notes = check(cotton)
    assert cells['state'] == 'wrong'
    for text in expected:
        assert text in notes


@pytest.mark.parametrize('part, text', [
    ('images', '480 missing images'), ('anno', "no list 'anno/train.txt'"),
    ('anno/test.txt', "no list 'anno/test.txt'")])
def test_half_unpacked(cotton, part, text):
    target = cotton / part
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    cells, notes = check(cotton)
    assert cells['state'] == 'wrong'
    assert text in notes


def test_val_list_is_read_but_not_expected(cotton):
    lines = (cotton / 'anno' / 'test.txt').read_text().splitlines()[:10]
    (cotton / 'anno' / 'val.txt').write_text('\n'.join(lines))
    cells, _ = check(cotton)
    assert cells['state'] == 'complete' and cells['val'] == '10'


def test_folder_under_another_name(cotton):
    cotton.rename(cotton.parent / 'Cotton')
    assert check(cotton)[0]['state'] == 'complete'


def test_real_lists_are_as_expected(shared_dir):
    reports = check_release(shared_dir / 'annotations')
    for (dataset, _, counts), (cells, notes) in zip(RELEASE, reports):
        for split, (images, _) in counts.items():
            assert cells[split] == f'{images}/{images}'
        classes = len(dataset.METAINFO['classes'])
        assert cells['classes'] == f'{classes}/{classes}'
        assert len(notes) == 1, 'the images, and nothing else'
        assert cells['missing'] == str(
            sum(images for images, _ in counts.values()))
    assert len(reports) == 9
