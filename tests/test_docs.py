import ast
import html
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import mmpretrain
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import DATA_SAMPLERS, DATASETS, HOOKS, VISBACKENDS
from PIL import Image

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.methods.csdnet.ssdp_hook import SSDPHook

REPO = Path(__file__).resolve().parents[1]
PAGES = sorted([*REPO.glob('*.md'), *REPO.glob('docs/**/*.md'),
                *REPO.glob('configs/*/*.md')])
ELSEWHERE = ('configs/my_leaves.py', 'configs/resnet/resnet50_8xb8_cub.py')


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


def anchors_of(page):
    """The anchors that a page's headings have, on GitHub and in the site."""
    text = re.sub(r'^```.*?^```', '', page.read_text(encoding='utf-8'),
                  flags=re.M | re.S)
    return {
        re.sub(r'[^\w\- ]', '', title.lower()).strip().replace(' ', '-')
        for title in re.findall(r'^#+ (.*)', text, re.M)
    }


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_anchors_are_headings(page):
    text = page.read_text(encoding='utf-8')
    for link, anchor in re.findall(r'\]\(([^)#\s:]*)#([^)\s]+)\)', text):
        target = page.parent / link if link else page
        assert anchor in anchors_of(target), f'{link}#{anchor}'


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_named_files_are_there(page):
    text = page.read_text(encoding='utf-8')
    for path in re.findall(
            r'\b((?:configs|tools|tests|csd_mmpretrain)/[\w./-]+\.(?:py|sh))',
            text):
        assert path in ELSEWHERE or (REPO / path).is_file(), path


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
    base, *lines = first.splitlines(True)
    kept = [line for line in lines
            if not line.startswith(('leaves =', 'train =', 'test ='))]
    cfg = config_of(''.join([base, second, *kept]), tmp_path)
    images = tmp_path / 'data/my_leaves/images'
    images.mkdir(parents=True)
    for label in ('maple', 'oak'):
        Image.new('RGB', (300, 260)).save(images / f'{label}_001.jpg')
    for split in ('train', 'test'):
        (images.parent / f'{split}.txt').write_text(
            'maple_001.jpg 0\noak_001.jpg 1\n')
    monkeypatch.chdir(tmp_path)
    for loader in ('train', 'val', 'test'):
        dataset = DATASETS.build(cfg[f'{loader}_dataloader'].dataset)
        assert [dataset.get_data_info(i)['gt_label'] for i in (0, 1)] == [0, 1]
        assert dataset[0]['inputs'].shape == (3, 224, 224)


@pytest.mark.parametrize('page', ['docs/your-own-backbone.md', 'README.md'])
def test_your_own_backbone(tmp_path, page):
    block, = [text for text in blocks(page, 'python')
              if '_base_' in text and "type='ResNet'" in text]
    model = build_bare_model(config_of(block, tmp_path)).eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, 64, 64)).shape == (1, 80)


def side(diff, mark):
    """The text before (``'-'``) or after (``'+'``) a diff."""
    return ''.join(
        line[1:] for line in diff.splitlines(True) if line[0] in (' ', mark))


def check_turned(path):
    cfg = Config.fromfile(path)
    SSDPHook(cfg.default_hooks.ssdp.view).before_train(
        SimpleNamespace(model=build_bare_model(cfg)))
    return cfg


def test_a_plain_classifier_becomes_csdnet(tmp_path):
    block, = blocks('README.md', 'diff')
    path = tmp_path / 'turned.py'
    path.write_text(side(block, '+'))
    check_turned(path)


def test_a_config_of_mmpretrain_becomes_csdnet(tmp_path):
    page = 'docs/from-mmpretrain.md'
    diff, = blocks(page, 'diff')
    configs = Path(mmpretrain.__file__).parent / '.mim/configs'
    stock, = re.findall(r'`configs/(resnet/\w+\.py)`',
                        (REPO / page).read_text())
    text = (configs / stock).read_text()
    assert text.count(side(diff, '-')) == 1
    text = text.replace(side(diff, '-'), side(diff, '+'))
    path = tmp_path / 'turned.py'
    path.write_text(text.replace("'../", f"'{configs.as_posix()}/"))
    cfg = check_turned(path)
    assert cfg.model.head.cls_head.num_classes == 200
    assert cfg.optim_wrapper.optimizer.type == 'SGD'

    text = blocks(page, 'python')[0]
    for package, folder in (('csd_mmpretrain', REPO / 'configs'),
                            ('mmpretrain', configs)):
        text = text.replace(f"'{package}::", f"'{folder.as_posix()}/")
    path.write_text(text)
    cfg = check_turned(path)
    assert cfg.optim_wrapper.optimizer.type == 'SGD'
    assert {'ssdp', 'exact_resume', 'image_cache'} <= set(cfg.default_hooks)
    assert DATA_SAMPLERS.get(cfg.train_dataloader.batch_sampler.type)


@pytest.mark.parametrize('block', blocks('docs/logging.md', 'python'))
def test_back_ends_of_the_log(block, tmp_path):
    cfg = config_of(block, tmp_path)
    if 'SSDPVisualizationHook' in block:
        HOOKS.build(cfg.default_hooks.ssdp_visualization)
        return
    assert cfg.visualizer.type == 'UniversalVisualizer'
    local, other = cfg.visualizer.vis_backends
    assert local.type == 'LocalVisBackend'
    VISBACKENDS.build(dict(other, save_dir=str(tmp_path)))


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


def test_every_tool_is_listed():
    text = (REPO / 'docs/tools.md').read_text()
    for path in [*REPO.glob('tools/**/*.py'), *REPO.glob('tools/*.sh')]:
        assert name(path) in text, name(path)


def needs(*modules):
    """Skip a test where a module of the extra `docs` is missing."""
    missing = [m for m in modules if importlib.util.find_spec(m) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f'{", ".join(missing)} (extra `docs`) missing')


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """The site, built from the checkout."""
    folder = tmp_path_factory.mktemp('site')
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '-d', folder],
        cwd=REPO,
        env=dict(os.environ, NO_MKDOCS_2_WARNING='1'),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True)
    assert done.returncode == 0, done.stdout[-5000:]
    return {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob('*') if path.is_file()
    }


@pytest.fixture(scope='module')
def pages(site):
    """The text of the site's pages."""
    return {
        path: file.read_text(encoding='utf-8')
        for path, file in site.items() if path.endswith('.html')
    }


def in_site(page, link):
    """Where a link leads: a path from the site's root, and an anchor."""
    path, _, anchor = unquote(html.unescape(link)).partition('#')
    if not path:
        return page, anchor
    return os.path.normpath(os.path.join(os.path.dirname(page), path)), anchor


@needs('mkdocs', 'material', 'mkdocstrings', 'nbconvert', 'latex2mathml')
class TestSite:

    def test_links_and_anchors(self, site, pages):
        ids = {
            page: set(re.findall(r'\bid="([^"]+)"', text))
            for page, text in pages.items()
        }
        for page, text in pages.items():
            if page == '404.html':
                continue
            for link in re.findall(r'\b(?:href|src)="([^"]+)"', text):
                if re.match(r'[a-z]+:', link):
                    continue
                path, anchor = in_site(page, link)
                assert path in site, f'{page}: {link}'
                assert not anchor or anchor == '__skip' or anchor in ids[
                    path], f'{page}: {link}'

    def test_nothing_is_fetched(self, pages):
        """Scripts, styles, fonts and pictures are the site's own."""
        fetched = re.compile(
            r'<(?:script|img|iframe)[^>]*\ssrc="([^"]+)"'
            r'|<link[^>]*\srel="(?:stylesheet|preconnect|icon)"[^>]*>')
        for page, text in pages.items():
            for found in fetched.finditer(text):
                assert '://' not in found[0], f'{page}: {found[0]}'

    def test_equations_are_mathml(self, pages):
        text = pages['api/csdnet.html']
        assert text.count('<math') > 5 and '<mfrac>' in text
        for page, text in pages.items():
            assert 'arithmatex' not in text, page
            if not page.startswith('csd_mmpretrain/'):  # sources as they are
                assert not re.search(r':(?:math|class|func):`', text), page

    def test_every_public_class_is_in_the_reference(self, pages):
        reference = ''.join(
            text for page, text in pages.items() if page.startswith('api/'))
        for path in (REPO / 'csd_mmpretrain').rglob('*.py'):
            module = '.'.join(path.relative_to(REPO).with_suffix('').parts)
            for node in ast.parse(path.read_text(encoding='utf-8')).body:
                if isinstance(node, ast.ClassDef) and node.name[0] != '_':
                    assert f'id="{module}.{node.name}"' in reference, module

    def test_sources_of_configs(self, pages):
        text = pages['configs/csdnet/grocery81.py.html']
        assert 'grocery81_bs16_224.py' in text
        assert 'configs/csdnet/index.html' in pages


@needs('nbclient', 'nbformat', 'ipykernel', 'matplotlib')
def test_notebook_runs(monkeypatch):
    import nbformat
    from nbclient import NotebookClient
    path = REPO / 'docs/notebooks/csdnet.ipynb'
    notebook = nbformat.read(path, as_version=4)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    NotebookClient(
        notebook,
        timeout=1800,
        kernel_name='python3',
        resources=dict(metadata=dict(path=path.parent))).execute()
    pictures = [
        output for cell in notebook.cells
        for output in cell.get('outputs', [])
        if 'image/jpeg' in output.get('data', {})
    ]
    assert len(pictures) == 3
