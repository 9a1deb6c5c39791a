"""A user's path through tools/dataset_tools/new_project.py."""
import shutil

import pytest
from noise_images import write_noise_images
from PIL import Image

pytest.importorskip('sklearn')
BASE = 'configs/csdnet/grocery81.py'


@pytest.fixture
def new_project(run_python, repo_root):
    """Run the tool."""
    return lambda *args, fails=False: run_python(
        repo_root / 'tools/dataset_tools/new_project.py', *args,
        '--base', repo_root / BASE, fails=fails).stdout


def test_a_mess_becomes_a_project(new_project, tmp_path):
    """What is wrong with the photos is told, each in a note."""
    photos = tmp_path / 'photos'
    photos.mkdir()
    write_noise_images(photos, 10, classes=4)
    for folder in list(photos.iterdir()):
        for path in list(folder.iterdir()):
            path.rename(path.with_name(f'{folder.name}plant{path.name}'))
    (photos / 'no photos').mkdir()
    (photos / 'übrig').mkdir()
    image = Image.open(photos / 'class0/class0plant0.png')
    image.save(photos / 'übrig/plant7 a.webp')
    (photos / 'class0/class0plant90.jpg').touch()
    image.convert('CMYK').save(photos / 'class1/class1plant91.jpg')
    shutil.copy(photos / 'class0/class0plant3.png',
                photos / 'übrig/plant7 b.png')
    shutil.copy(photos / 'class2/class2plant1.png',
                photos / 'class2/class2plant2b.png')
    shutil.copy(photos / 'class3/class3plant1.png',
                photos / 'class3/class1plant1.png')
    log = new_project(photos, tmp_path / 'leaves', '--group',
                      r'((?:class\d)?plant\d)\d?', '--seed', '1')
    for told in (
            '1 folders without a photo are no classes: no photos',
            '1 photos are left out:\nempty: 1\n  class0/class0plant90.jpg',
            '3 photos are in several groups as copies',
            '1 photos are in several classes as copies (class0/class0plant3',
            '2 groups have photos of several classes',
            '1 classes have one group (übrig)',
            '| übrig | 2 | 0 | 0 |', '5 classes, 38 groups',
            '--check-data'):
        assert told in log, log
    lines = (tmp_path / 'leaves/all.txt').read_text('utf-8').splitlines()
    assert len(lines) == 45 and 'übrig/plant7 a.webp 4' in lines
    again = new_project(photos, tmp_path / 'leaves', fails=True)
    assert 'has a project already' in again and 'Traceback' not in again


@pytest.mark.parametrize('args, message', [
    (['p.csv', 'out', '--group', '(a)'], 'names the groups in its column'),
    (['photos', 'out', '--parts', '2'], 'at least 3'),
    (['gone.csv', 'out'], "There is no file 'gone.csv'"),
    (['photos', 'out', '--group', '(class.)'], 'there are 0 groups'),
])
def test_bad_input(new_project, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'photos').mkdir()
    write_noise_images(tmp_path / 'photos', 4)
    log = new_project(*args, fails=True)
    assert message in log and 'Traceback (' not in log
    assert not list((tmp_path).glob('out/*'))
