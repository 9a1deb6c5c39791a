import runpy
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from csd_mmpretrain.checkpoints.bare_model import build_bare_model

pytest.importorskip('sklearn')


@pytest.fixture(scope='module')
def tool(repo_root):
    return repo_root / 'tools/visualization/vis_tsne.py'


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory, tiny_config):
    """A checkpoint, and weights of the backbone alone."""
    folder = tmp_path_factory.mktemp('tsne')
    model = build_bare_model(Config.fromfile(tiny_config))
    torch.save(dict(state_dict=model.state_dict()), folder / 'model.pth')
    model = build_bare_model(Config.fromfile(tiny_config))
    torch.save(model.backbone.state_dict(), folder / 'backbone.pth')
    return folder / 'model.pth', folder / 'backbone.pth'


@pytest.fixture
def run(monkeypatch, tmp_path, tool, tiny_config, checkpoints):

    def run(*args):
        command = [tool, tiny_config, '--checkpoint', checkpoints[0], *args,
                   '--debug']
        monkeypatch.setattr(sys, 'argv', list(map(str, command)))
        monkeypatch.chdir(tmp_path)
        runpy.run_path(str(tool), run_name='__main__')

    return run


def test_before_and_after(run, monkeypatch, tmp_path, checkpoints,
                          tiny_config):
    shown = []
    monkeypatch.setattr(Image.Image, 'show', lambda *args: shown.append(args))
    run('--before', checkpoints[1], '--out', 'new/both.pdf', '--split',
        'train', '--class-idx', 'class4', '1', '--no-normalize',
        '--vis-stage', 'backbone', '--n-iter', 250, '--show')
    assert shown
    assert (tmp_path / 'new/both.pdf').read_bytes().startswith(b'%PDF')
    saved = np.load(tmp_path / 'new/both.npz')
    assert saved['labels'].tolist() == [1] * 4 + [4] * 4
    # The features are those of the files, image by image.
    cfg = Config.fromfile(tiny_config)
    for when, checkpoint in zip(('after', 'before'), checkpoints):
        model = build_bare_model(cfg).eval()
        state = torch.load(checkpoint)
        part = model if 'state_dict' in state else model.backbone
        part.load_state_dict(state.get('state_dict', state))
        for path, features in zip(saved['paths'], saved[f'{when}_features']):
            image = np.asarray(Image.open(path).resize((40, 40)))[4:36, 4:36]
            image = torch.from_numpy(image / 127.5 - 1).float()
            with torch.no_grad():
                expected = model.backbone(image.permute(2, 0, 1)[None])[-1]
            expected = expected.mean((2, 3))[0].numpy()
            similarity = np.dot(features, expected) / np.linalg.norm(
                features) / np.linalg.norm(expected)
            assert similarity > 0.98


def test_umap(run_python, tool, tiny_config, checkpoints, tmp_path):
    pytest.importorskip('umap')
    # Compiled, it is faster only where there are more than twelve images.
    run_python(tool, tiny_config, '--checkpoint', checkpoints[0], '--method',
               'umap', '--n-neighbors', 3, '--work-dir', tmp_path,
               '--max-num-class', 3, '--split', 'val', '--no-legend',
               NUMBA_DISABLE_JIT='1')
    saved = np.load(tmp_path / 'umap.npz')
    assert saved['class_labels'].tolist() == [1, 3, 5]
    np.testing.assert_allclose(
        np.linalg.norm(saved['features'], axis=1), 1, atol=1e-5)


@pytest.mark.parametrize('options, message', [
    (['--class-idx', 'class9'], 'There is no class .*Close to it: class'),
    (['--class-idx', '6'], 'from 0 to 5'),
    (['--perplexity', '12'], '--perplexity 12: with 12 images'),
    (['--class-idx', '1'], '2 images are too few'),
    (['--cfg-options', 'val_dataloader=None', '--split', 'val'],
     'the config has no val_dataloader'),
])
def test_errors(options, message, run):
    with pytest.raises(ValueError, match=message):
        run(*options)


def test_broken_weights(run, checkpoints, tmp_path):
    state = torch.load(checkpoints[1])
    state = {name: value.float() * float('nan')
             for name, value in state.items()}
    torch.save(state, tmp_path / 'broken.pth')
    with pytest.raises(ValueError, match='broken.pth: .* are not finite'):
        run('--before', tmp_path / 'broken.pth', '--vis-stage', 'backbone')


@pytest.mark.parametrize('options, message', [
    (['--n-iter', '100'], '--n-iter 100: at least 250'),
    (['--out', 'tsne.svg'],
     '--out: tsne.svg: the name must end in .png or .pdf'),
])
def test_wrong_options(options, message, run, capsys):
    with pytest.raises(SystemExit):
        run(*options)
    assert message in capsys.readouterr().err
