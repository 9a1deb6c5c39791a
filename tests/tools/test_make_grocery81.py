"""Grocery81 from a clone of the Grocery Store dataset."""
import re
from collections import defaultdict

import pytest

from csd_mmpretrain.datasets.grocery81_selection import _evenly

HEADER = ('Class Name (str),Class ID (int),Coarse Class Name (str),'
          'Coarse Class ID (int)')


def write_clone(folder, counts):
    """Write a clone; counts are of photos by folder, in the classes' order."""
    names = {}
    for path, numbers in counts.items():
        name = path.rsplit('/', 1)[-1]
        names.setdefault(name, len(names))
        for split, number in numbers.items():
            part = folder / 'dataset' / split / path
            part.mkdir(parents=True)
            for i in range(number):
                part.joinpath(f'{name}_{i + 1:03}.jpg').write_text(
                    f'{split} {name} {i}')
    folder.joinpath('dataset/classes.csv').write_text('\n'.join(
        [HEADER, *(f'{name},{label},x,0' for name, label in names.items())]))
    return folder


@pytest.fixture
def grocery_meta(grocery_root):
    return grocery_root / 'meta'


@pytest.fixture
def make(run_python, repo_root, tmp_path):

    def run(clone, fails=False):
        return run_python(repo_root / 'tools/dataset_tools/make_grocery81.py',
                          clone, '--out', tmp_path / 'out', fails=fails).stdout

    return run


def test_photos_are_copied_and_listed(make, tmp_path):
    clone = write_clone(tmp_path / 'clone', {
        'Fruit/Pear/Kaiser': dict(train=9, test=10),
        'Fruit/Avocado': dict(train=8, test=25)})
    assert '16 training and 20 test photos' in make(clone)
    out = tmp_path / 'out'
    assert (out / 'meta/classes.txt').read_text() == 'Kaiser\nAvocado\n'
    lines = (out / 'meta/train.txt').read_text().splitlines()
    assert len(lines) == 16
    assert lines[1] == 'train/Fruit/Pear/Kaiser/Kaiser_002.jpg 0'
    assert lines[-1] == 'train/Fruit/Avocado/Avocado_008.jpg 1'
    for split in ('train', 'test'):
        for line in (out / f'meta/{split}.txt').read_text().splitlines():
            photo = line.split()[0]
            assert (out / 'images' / photo).read_bytes() == (
                clone / 'dataset' / photo).read_bytes()
    assert len(list(out.rglob('*.jpg'))) == 36
    assert 'is there already' in make(clone, fails=True)


def test_errors_name_the_clone_and_the_class(make, tmp_path):
    assert 'no clone of the Grocery Store dataset' in make(
        tmp_path / 'nowhere', fails=True)
    clone = write_clone(tmp_path / 'clone',
                        {'Fruit/Avocado': dict(train=8, test=9)})
    assert 'Avocado has 9 photos, and 10 are needed' in make(clone, fails=True)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('split, count, name, photos', [
    ('train', 8, 'Valio-Vanilla-Yoghurt', 32),
    ('train', 8, 'Arla-Natural-Mild-Low-Fat-Yoghurt', 26),
    ('train', 8, 'Yoggi-Vanilla-Yoghurt', 20),
    ('test', 10, 'Valio-Vanilla-Yoghurt', 31),
    ('test', 10, 'Arla-Natural-Mild-Low-Fat-Yoghurt', 23),
    ('test', 10, 'Yoggi-Vanilla-Yoghurt', 18),
])
def test_the_rule_is_that_of_the_lists(grocery_meta, split, count, name,
                                       photos):
    """The numbers of photos are those of the release."""
    text = (grocery_meta / f'{split}.txt').read_text()
    found = [int(i) for i in re.findall(rf'/{name}_(\d+)\.jpg', text)]
    assert found == _evenly(range(1, photos + 1), count)


def test_the_lists_are_made_again(grocery_meta, make, tmp_path):
    """From as many photos of each class as agree with the rule."""
    counts = defaultdict(dict)
    for split, count in dict(train=8, test=10).items():
        numbers = defaultdict(list)
        for line in (grocery_meta / f'{split}.txt').read_text().splitlines():
            path, number = re.match(r'\w+/(.*)/.*_(\d+)\.jpg', line).groups()
            numbers[path].append(int(number))
        for path, found in numbers.items():
            counts[path][split] = next(
                n for n in range(count, 150)
                if _evenly(range(1, n + 1), count) == found)
    make(write_clone(tmp_path / 'clone', counts))
    for name in ('classes', 'train', 'test'):
        assert (tmp_path / f'out/meta/{name}.txt').read_text() == (
            grocery_meta / f'{name}.txt').read_text()
