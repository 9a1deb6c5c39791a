"""docs/a-days-work.md, from the wheel alone, on folders with real mess."""
import csv
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_package import pip_wheel, source  # noqa: F401  a fixture

pytest.importorskip('sklearn')
CLASSES = 12
BASE = """
_base_ = 'csd_mmpretrain::csdnet/grocery81.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=64, crop_ratio_range=(0.5, 1.0)),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=72, edge='short'),
    dict(type='CenterCrop', crop_size=64),
    dict(type='PackInputs'),
]
model = dict(backbone=dict(init_cfg={init}))
train_cfg = dict(val_interval=10)
default_hooks = dict(checkpoint=dict(interval=10))
"""
SHELL = """
set -e
csd() {
  [ "$1" != new_project ] || set -- "$@" --base base.py
  [ "$1" != kfold-cross-valid ] || set -- "$@" --num-splits 2
  "$PROGRAM" -m csd_mmpretrain "$@"
}
"""


def photos_of(root, label):
    """Ten photos of a class: real ones, or noise where there are none."""
    if root is None:
        random = np.random.RandomState(label)
        tint = random.randint(0, 200, 3)
        return [Image.fromarray(
            (tint + random.randint(0, 55, (80, 80, 3))).astype(np.uint8))
            for _ in range(10)]
    lines = (root / 'meta/test.txt').read_text().splitlines()
    return [Image.open(root / 'images' / line.rsplit(' ', 1)[0])
            for line in lines if line.endswith(f' {label}')][:10]


def make_mess(folder, root):
    """Twelve folders of photos, others, and new ones."""
    for label in range(CLASSES):
        place = folder / 'photos' / (
            'Ahorn größer' if label == 3 else f'class {label}')
        place.mkdir(parents=True)
        for i, photo in enumerate(photos_of(root, label)):
            kind = {1: '.webp', 2: '.png'}.get(i, '.jpg')
            name = place / f'plant{label:02}{i // 2}_{i % 2}{kind}'
            photo.convert('CMYK' if label == 5 and i == 0 else 'RGB').save(
                name)
    photos = folder / 'photos'
    (photos / 'empty').mkdir()
    (photos / 'single').mkdir()
    shutil.copy(photos / 'class 0/plant000_0.jpg',
                photos / 'single/plant999_0.jpg')
    Image.open(photos / 'single/plant999_0.jpg').rotate(90).save(
        photos / 'single/plant999_0.jpg')
    (photos / 'class 1/plant019_0.jpg').write_bytes(
        (photos / 'class 1/plant010_0.jpg').read_bytes()[:-800])
    for name, labels in (('other_photos', (20, 21)), ('new_photos', (0, 22)),
                         ('new_classes/new one', (23, ))):
        (folder / name).mkdir(parents=True)
        for label in labels:
            for i, photo in enumerate(photos_of(root, label)[:6]):
                photo.convert('RGB').save(folder / name / f'{label}-{i}.jpg')
    (folder / 'new_photos/broken.jpg').write_text('not an image')


@pytest.mark.slow
@pytest.mark.skipif(os.name == 'nt', reason='a shell runs the page')
def test_the_commands_of_the_page(
        source, repo_root, tmp_path, tmp_path_factory):  # noqa: F811
    shared = os.environ.get('CSD_SHARED', repo_root.parent / 'shared')
    root = Path(shared) / 'data/grocery81'
    weights = Path(shared) / 'weights/mobilenet_v2_imagenet.pth'
    day = tmp_path / "Anna's day"
    day.mkdir()
    make_mess(day, root if root.is_dir() else None)
    init = dict(type='Pretrained', checkpoint=str(weights),
                prefix='backbone.') if weights.is_file() else None
    (day / 'base.py').write_text(BASE.format(init=init))
    site = tmp_path / 'site-packages'
    with zipfile.ZipFile(pip_wheel(
            source, tmp_path_factory.mktemp('wheel'))) as wheel:
        wheel.extractall(site)

    page = (repo_root / 'docs/a-days-work.md').read_text('utf-8')
    blocks = [block for block in re.findall(
        r'^```bash\n(.*?)^```', page, re.M | re.S) if 'csd ' in block
        and 'pip ' not in block]
    assert len(blocks) == 7
    shell = SHELL + '\n'.join(blocks).replace(
        '--cfg-options', '--cfg-options train_cfg.max_epochs=1')
    done = subprocess.run(
        ['bash', '-c', shell], cwd=day,
        env={**os.environ, 'PYTHONPATH': str(site), 'PROGRAM': sys.executable,
             'CUDA_VISIBLE_DEVICES': ''},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=600)
    log = done.stdout
    assert done.returncode == 0, log[-5000:]
    for told in ('1 folders without a photo are no classes: empty',
                 'truncated: 1\n  class 1/plant019_0.jpg',
                 '1 classes have one group (single)',
                 '13 classes, 61 groups',
                 '0 of 121 image files',
                 'of 12 other photos', '1 are no whole images',
                 'predictions of 120 held-out images, by 2 of 2 folds',
                 '| class means, enrolled | 14 |'):
        assert told in log, (told, log)
    with open(day / 'answers.csv', newline='', encoding='utf-8') as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 13 and sum(row['fault'] != '' for row in rows) == 1
    names = {*(day / 'leaves/classes.txt').read_text('utf-8').split('\n'),
             'new one', 'unknown', ''}
    assert {row['answer'] for row in rows} <= names
    plants = {}
    with open(day / 'leaves/photos.csv', encoding='utf-8') as file:
        for row in csv.DictReader(file):
            plant = re.search(r'plant\d+', row['path']).group()
            assert plants.setdefault(plant, row['split']) == row['split']
    for name in ('confusion.png', 'pairs.md', 'classes.md', 'unknown.json'):
        assert (day / name).stat().st_size
