import ast
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import DATASETS
from PIL import Image

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.engine.bare_model import build_bare_model
from csd_mmpretrain.engine.hooks import SSDPHook

REPO = Path(__file__).resolve().parents[1]
PAGES = sorted([*REPO.glob('*.md'), *REPO.glob('docs/*.md'),
                *REPO.glob('configs/*/*.md')])
YOURS = ('configs/my_leaves.py', )


def name(page):
    return page.relative_to(REPO).as_posix()


def blocks(page, language):
    text = (REPO / page).read_text(encoding='utf-8')
    return re.findall(rf'^```{language}\n(.*?)^```', text, re.M | re.S)


def config_of(block, folder):
    """Load a config from a page as if it lay in ``configs/``."""
    path = folder / 'my_leaves.py'
    path.write_text(block.replace("'./", f"'{REPO.as_posix()}/configs/"))
    return Config.fromfile(path)


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding='utf-8')
    links = re.findall(r'\]\(([^)#\s]+)(?:#[^)]*)?\)', text)
    links += re.findall(r'(?:src|href)="([^"]+)"', text)
    for link in links:
        if '://' not in link:
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_named_files_are_there(page):
    text = page.read_text(encoding='utf-8')
    for path in re.findall(
            r'\b((?:configs|tools|tests|csd_mmpretrain)/[\w./-]+\.(?:py|sh))',
            text):
        assert path in YOURS or (REPO / path).is_file(), path


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_snippets_parse(page):
    for block in blocks(page, 'python'):
        ast.parse(block)
    for language in ('bash', 'shell'):
        for block in blocks(page, language):
            subprocess.run(['bash', '-n'], input=block, text=True, check=True)


def test_your_own_folders(tmp_path, monkeypatch):
    cfg = config_of(blocks('docs/your-own-data.md', 'python')[0], tmp_path)
    for split in ('train', 'test'):
        for label in ('maple', 'oak'):
            folder = tmp_path / 'data/my_leaves' / split / label
            folder.mkdir(parents=True)
            Image.new('RGB', (300, 260)).save(folder / '001.jpg')
    monkeypatch.chdir(tmp_path)
    for loader in ('train', 'val', 'test'):
        dataset = DATASETS.build(cfg[f'{loader}_dataloader'].dataset)
        assert list(dataset.CLASSES) == ['maple', 'oak']
        assert dataset[1]['inputs'].shape == (3, 224, 224)
        assert dataset[1]['data_samples'].gt_label.item() == 1
    assert cfg.test_evaluator == dict(type='Accuracy', topk=(1, ))
    assert build_bare_model(cfg).head.cls_head.num_classes == 2


def test_your_own_lists(tmp_path, monkeypatch):
    first, second = blocks('docs/your-own-data.md', 'python')
    cfg = config_of(first + second, tmp_path)
    images = tmp_path / 'data/my_leaves/images'
    images.mkdir(parents=True)
    for label in ('maple', 'oak'):
        Image.new('RGB', (300, 260)).save(images / f'{label}_001.jpg')
    (images.parent / 'train.txt').write_text(
        'maple_001.jpg 0\noak_001.jpg 1\n')
    monkeypatch.chdir(tmp_path)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert [dataset.get_data_info(i)['gt_label'] for i in (0, 1)] == [0, 1]
    assert dataset[0]['inputs'].shape == (3, 224, 224)


@pytest.mark.parametrize('page', ['docs/your-own-backbone.md', 'README.md'])
def test_your_own_backbone(tmp_path, page):
    block, = [text for text in blocks(page, 'python')
              if '_base_' in text and "type='ResNet'" in text]
    model = build_bare_model(config_of(block, tmp_path)).eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, 64, 64)).shape == (1, 80)


def test_a_plain_classifier_becomes_csdnet(tmp_path):
    block, = blocks('README.md', 'diff')
    path = tmp_path / 'turned.py'
    path.write_text(''.join(
        line[1:] for line in block.splitlines(True) if line[0] != '-'))
    cfg = Config.fromfile(path)
    SSDPHook(cfg.default_hooks.ssdp.view).before_train(
        SimpleNamespace(model=build_bare_model(cfg)))


def test_your_own_view():
    block, = [text for text in blocks('docs/your-own-backbone.md', 'python')
              if 'class HalfView' in text]
    space = {}
    exec(block, space)
    pattern = torch.zeros(2, 4, 4)
    pattern[0, :, :2] = 1
    pattern[1, :, 2:] = 1
    second, kept = space['HalfView']()(torch.ones(2, 3, 8, 8), pattern)
    assert kept.tolist() == [0.5, 0.5]
    assert second[0, :, :, :4].min() == 1 and second[0, :, :, 4:].max() == 0
    assert second[1, :, :, 4:].min() == 1 and second[1, :, :, :4].max() == 0
