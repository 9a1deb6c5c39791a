"""The demo, driven in a real browser."""
import json
import os
import resource
import runpy
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import prototype_runs
import pytest
import torch
from mmengine.config import Config
from noise_images import write_noise_images
from PIL import Image

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.eval_images import eval_pipeline
from csd_mmpretrain.deployment.demo_predictor import DemoPredictor
from csd_mmpretrain.evaluation.feature_data import labelled_splits
from csd_mmpretrain.methods.epic.fit_classifier import fit_classifier
from csd_mmpretrain.methods.epic.fitted_epic import preprocessing_of
from csd_mmpretrain.methods.epic.pooled_classifier import PooledClassifier

CONFIG = """
_base_ = ['{base}']

pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=96),
    dict(type='CenterCrop', crop_size=96),
    dict(type='PackInputs'),
]
test_dataloader = dict(dataset=dict(pipeline=pipeline))
default_hooks = dict(
    ssdp=dict(view=dict(_delete_=True, type='DiscrepancyMaskView')))
"""
TOOL = Path(__file__).resolve().parents[2] / 'tools/demo/gradio_demo.py'
BROWSER = shutil.which('chromium') or shutil.which('google-chrome')
BROWSER_ARGS = [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic',
    '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'
]
MINUTES = 2


@pytest.fixture(scope='module')
def config(tmp_path_factory, tiny_config):
    path = tmp_path_factory.mktemp('demo') / 'leaves.py'
    path.write_text(CONFIG.format(base=tiny_config.as_posix()))
    return path


@pytest.fixture(scope='module')
def model(config):
    torch.manual_seed(0)
    return build_bare_model(Config.fromfile(config)).eval()


@pytest.fixture(scope='module')
def checkpoint(config, model):
    path = config.with_suffix('.pth')
    meta = dict(dataset_meta=dict(classes=[f'class{i}' for i in range(6)]))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@pytest.fixture(scope='module')
def epic(config, model):
    """EPIC, fitted for a single step on the same model."""
    cfg = Config.fromfile(config)
    fitted = fit_classifier(
        PooledClassifier(model), labelled_splits(cfg)['train'],
        preprocessing_of(model, eval_pipeline(cfg)), config.parent,
        dict(parametrization='cayley', prototypes=[2, 2], rounds=1, epochs=1,
             batch_size=10**4))
    path = config.parent / 'epic.pth'
    fitted.save(str(path))
    return path


@pytest.fixture(scope='module')
def tool():
    """The functions of the program."""
    return SimpleNamespace(**runpy.run_path(str(TOOL)))


@contextmanager
def running(config, *args):
    """The address of a demo that runs."""
    pytest.importorskip('gradio', minversion='6.0')
    pytest.importorskip('playwright.sync_api')
    if BROWSER is None:
        pytest.skip('there is no chromium')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    log = config.with_suffix('.log')
    with open(log, 'w') as file:
        server = subprocess.Popen([
            sys.executable, TOOL, config, *args, '--port', str(port),
            '--device', 'cpu'
        ], stdout=file, stderr=subprocess.STDOUT,
            env=dict(os.environ, CUDA_VISIBLE_DEVICES=''))
    try:
        end = time.monotonic() + 60 * MINUTES
        while 'Running on local URL' not in log.read_text():
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(0.2)
        yield f'http://127.0.0.1:{port}'
    finally:
        server.terminate()
        server.wait()


@contextmanager
def opened(address):
    """Its page in a browser, and the addresses that it asks for."""
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=BROWSER_ARGS)
        page = browser.new_page()
        page.set_default_timeout(60_000 * MINUTES)
        asked = []
        page.on('request', lambda request: asked.append(request.url))
        page.goto(address)
        yield page, asked
        browser.close()


def upload(page, path):
    page.locator('#upload input[type=file]').set_input_files(str(path))


def picture_of(page, name):
    source = page.locator(f'#{name} img').evaluate('image => image.src')
    return np.asarray(Image.open(urlopen(source)).convert('RGB'))


def test_in_a_browser(checkpoint, model, config, epic, tool, tiny_data,
                      tmp_path):
    image = tiny_data / 'test' / 'class2' / '0.png'
    wrong = tmp_path / 'notes<b>.png'
    wrong.write_text('no image at all')
    classes = [f'class{i}' for i in range(6)]
    cfg = Config.fromfile(config)
    figures = tool.figures_of(SimpleNamespace(epic=str(epic)), cfg, model)
    assert list(figures) == [tool.MASK, tool.WHY]
    expected, why = DemoPredictor(cfg, model, [figures[tool.WHY]], classes)(
        str(image))
    best = sorted(expected, key=expected.get, reverse=True)[:5]

    options = (checkpoint, '--epic', epic, '--num', '4')
    with running(config, *options) as address, \
            opened(address) as (page, asked):
        # The first example is explained at once.
        first = page.locator('#figure img').evaluate('image => image.src')
        assert page.locator('#examples img').count() == 4

        upload(page, image)
        page.wait_for_function(
            """([old, best]) => {
                const figure = document.querySelector('#figure img');
                const shown = document.querySelector('#prediction').innerText;
                const names = (shown.match(/class\\d/g) || []).slice(-5);
                return figure && figure.src !== old
                    && figure.naturalWidth > 900
                    && names.join() === best.join();
            }""", arg=[first, best])

        page.get_by_role('tab', name=tool.WHY).click()
        np.testing.assert_array_equal(picture_of(page, 'figure1'), why)

        page.locator('#upload button[aria-label*=emove]').click()
        upload(page, wrong)
        message = page.get_by_text('not an image')
        message.wait_for()
        assert 'notes' in message.inner_text()
        assert 'Choose a whole image file' in message.inner_text()
    foreign = [url for url in asked
               if not url.startswith((address, 'data:', 'blob:'))]
    assert foreign == []


def test_the_tabs_of_a_model(config, model, epic, tool):
    cfg = Config.fromfile(config)
    assert list(tool.figures_of(SimpleNamespace(epic=None), cfg, model)) == [
        tool.MASK]
    cfg.model.neck = dict(type='GlobalAveragePooling')
    plain = build_bare_model(cfg).eval()
    with pytest.raises(TypeError, match='no pattern map.*give --epic FILE'):
        tool.figures_of(SimpleNamespace(epic=None), cfg, plain)
    torch.nn.init.ones_(plain.head.cls_head.fc.bias)
    with pytest.raises(ValueError, match='fitted on the weights'):
        tool.figures_of(SimpleNamespace(epic=str(epic)), cfg, plain)


def test_a_model_with_prototypes_is_explained_in_a_browser(tool, tmp_path):
    images, work_dir = tmp_path / 'images', tmp_path / 'run'
    images.mkdir()
    write_noise_images(images, 3, classes=prototype_runs.CLASSES)
    prototype_runs.runner(images, work_dir).train()
    cfg = prototype_runs.config(images, work_dir)
    checkpoint = str(work_dir / f'epoch_{prototype_runs.EPOCHS}.pth')
    args = SimpleNamespace(epic=None, checkpoint=checkpoint, device='cpu')
    model, classes, _ = load_model(cfg, checkpoint)
    figures = tool.figures_of(args, cfg, model)
    assert list(figures) == [tool.WHY]
    photo = images / 'class1' / '0.png'
    scores, picture = DemoPredictor(
        cfg, model, list(figures.values()), classes)(str(photo))
    assert len(scores) == prototype_runs.CLASSES
    assert picture.shape[2] == 3 and picture.std() > 20

    path = tmp_path / 'prototypes.py'
    cfg.dump(path)
    with running(path, checkpoint, '--num', '0') as address, \
            opened(address) as (page, _):
        page.get_by_text('training photos that have parts like').wait_for()
        assert page.get_by_role('tab').count() == 0
        upload(page, photo)
        page.locator('#figure img').wait_for()
        np.testing.assert_array_equal(picture_of(page, 'figure'), picture)
        assert max(scores, key=scores.get) in page.locator(
            '#prediction').inner_text()


def test_a_file_that_is_no_image(config, model, tmp_path):
    predict = DemoPredictor(Config.fromfile(config), model, [])
    for name in ('notes.png', 'notes.txt'):
        (tmp_path / name).write_text('no image at all')
        with pytest.raises(ValueError, match=f'^{name}: not an image'):
            predict(str(tmp_path / name))
    (tmp_path / 'empty.png').touch()
    with pytest.raises(ValueError, match='empty'):
        predict(str(tmp_path / 'empty.png'))


def test_small_files_of_large_images(config, model, tmp_path):
    """What fills the memory when it is decoded or resized is refused."""
    predict = DemoPredictor(Config.fromfile(config), model, [])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for size, message in (((60000, 1), 'too narrow'), ((1, 201), 'narrow'),
                          ((8000, 8000), 'too large .64000000 pixels')):
        Image.new('1', size).save(tmp_path / 'bomb.png')
        assert (tmp_path / 'bomb.png').stat().st_size < 20_000
        with pytest.raises(ValueError, match=message):
            predict(str(tmp_path / 'bomb.png'))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 100 << 10  # KiB


def test_uploads_are_limited_and_deleted(monkeypatch, tmp_path):
    pytest.importorskip('gradio', minversion='6.0')
    monkeypatch.setenv('GRADIO_ANALYTICS_ENABLED', 'False')
    monkeypatch.setenv('GRADIO_TEMP_DIR', str(tmp_path))
    from csd_mmpretrain.deployment import demo_page
    monkeypatch.setattr(demo_page, 'KEPT', 10)
    page = demo_page.make_demo_page(print, [], 'title', 'text')
    demo_page.launch_page(page, prevent_thread_lock=True, quiet=True)

    def post(size):
        body = (b'--x\r\nContent-Disposition: form-data; name="files"; '
                b'filename="a.png"\r\n\r\n' + bytes(size)
                + b'\r\n--x--\r\n')
        request = Request(f'{page.local_url}gradio_api/upload', body, {
            'Content-Type': 'multipart/form-data; boundary=x'})
        return json.load(urlopen(request))

    try:
        with pytest.raises(HTTPError):
            post(21 << 20)
        path, = map(Path, post(1000))
        assert path.is_file() and tmp_path in path.parents
        for _ in range(30 * 5):
            if not path.exists():
                break
            time.sleep(0.2)
        assert not path.exists()
    finally:
        page.close()


def test_requests_cannot_read_other_files(tiny_data, monkeypatch):
    pytest.importorskip('gradio', minversion='6.0')
    monkeypatch.setenv('GRADIO_ANALYTICS_ENABLED', 'False')
    from csd_mmpretrain.deployment.demo_page import (
        launch_page,
        make_demo_page,
    )
    asked = []
    page = make_demo_page(asked.append, [], 'title', 'text')
    launch_page(page, prevent_thread_lock=True, quiet=True)
    try:
        path = str(tiny_data / 'test' / 'class2' / '0.png')
        for file in ({'path': path}, {'path': None, 'url': 'data:,x'}):
            url = f'{page.local_url}gradio_api/call/explain'
            request = Request(url, json.dumps({'data': [file]}).encode(),
                              {'Content-Type': 'application/json'})
            event = json.load(urlopen(request))['event_id']
            assert b'Upload an image' in urlopen(f'{url}/{event}').read()
    finally:
        page.close()
    assert asked == []


def test_missing_gradio_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, 'argv', [str(TOOL), 'config.py',
                                      'checkpoint.pth', '--debug'])
    monkeypatch.setitem(sys.modules, 'gradio', None)
    monkeypatch.setenv('GRADIO_ANALYTICS_ENABLED', 'False')
    with pytest.raises(ImportError, match='csd_mmpretrain.demo'):
        runpy.run_path(str(TOOL), run_name='__main__')
