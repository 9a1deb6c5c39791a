import runpy
import sys

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.checkpoints.trained_model import load_pretrained_model


@pytest.fixture
def run_tool(monkeypatch, repo_root, tiny_config):
    """Run the tool in this process."""

    def run(*args):
        tool = repo_root / 'tools/visualization/browse_dataset.py'
        monkeypatch.setattr(
            sys, 'argv',
            [str(tool), str(tiny_config), *map(str, args), '--debug'])
        runpy.run_path(str(tool), run_name='__main__')

    return run


def sizes(folder):
    return {path.name: Image.open(path).size for path in folder.iterdir()}


@pytest.mark.parametrize('mode', ['original', 'transformed', 'concat',
                                  'pipeline'])
def test_modes(run_tool, tmp_path, mode):
    run_tool('-o', tmp_path, '-m', mode, '-n', 2, '-p', 'test', '--not-show')
    (width, height), *others = sizes(tmp_path).values()
    assert others == [(width, height)]
    panels = dict(original=1, transformed=1, concat=2, pipeline=3)[mode]
    if panels > 1:
        assert width / height == pytest.approx(panels * 0.82, rel=0.15)


def test_the_second_views(run_tool, tiny_config, tmp_path):
    checkpoint = tmp_path / 'weights.pth'
    model = build_bare_model(Config.fromfile(tiny_config))
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    pipeline = 'train_dataloader.dataset.pipeline'
    args = ['-m', 'view', '-n', 3, '--sheet', '--checkpoint', checkpoint,
            '--cfg-options', f'{pipeline}.1.scale=96',
            f'{pipeline}.2.crop_size=96']
    run_tool('-o', tmp_path / 'own', '--batch-size', 2, *args)
    run_tool('-o', tmp_path / 'all', '--view', 'all', *args)
    (own, height), = sizes(tmp_path / 'own').values()
    (every, other), = sizes(tmp_path / 'all').values()
    assert own < 0.6 * every and height == other


def test_a_sheet_of_many(run_tool, tmp_path):
    run_tool('-o', tmp_path, '-m', 'concat', '--sheet', '-r', 0.3)
    assert set(sizes(tmp_path)) == {'sheet_1.png', 'sheet_2.png'}


def test_the_size_can_be_changed(run_tool, tmp_path):
    for factor in (1, 2):
        run_tool('-o', tmp_path / str(factor), '-r', factor, '-n', 1,
                 '--not-show')
    (_, small), = sizes(tmp_path / '1').values()
    (_, large), = sizes(tmp_path / '2').values()
    assert large - small == pytest.approx(330, abs=2)


@pytest.mark.parametrize('args, message', [
    (['--not-show'], '--output-dir DIR'),
    (['--sheet'], '--output-dir DIR'),
    (['-n', 0, '-o', 'x'], '--show-number 0: must be positive'),
])
def test_bad_command_lines(run_tool, capsys, args, message):
    with pytest.raises(SystemExit):
        run_tool(*args)
    assert message in capsys.readouterr().err


def test_no_display_and_no_folder(run_tool, capsys, monkeypatch):
    from matplotlib import pyplot
    monkeypatch.setattr(pyplot, 'get_backend', lambda: 'agg')
    with pytest.raises(SystemExit):
        run_tool()
    assert 'there is no display' in capsys.readouterr().err


def test_images_are_shown(run_tool, monkeypatch):
    from matplotlib import pyplot
    pauses = []
    monkeypatch.setattr(pyplot, 'get_backend', lambda: 'qtagg')
    monkeypatch.setattr(pyplot, 'pause', pauses.append)
    run_tool('-n', 3, '-i', 0.5)
    assert pauses == [0.5] * 3 and pyplot.get_fignums() == []


def test_no_weights_to_see_with(run_tool, tmp_path):
    with pytest.raises(ValueError, match='names no pretrained weights'):
        run_tool('-m', 'view', '-o', tmp_path)


def test_the_pretrained_weights_of_the_config(tiny_config, tmp_path):
    cfg = Config.fromfile(tiny_config)
    backbone = build_bare_model(cfg).backbone
    torch.save(backbone.state_dict(), tmp_path / 'weights.pth')
    cfg.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'weights.pth'))
    model = load_pretrained_model(cfg)
    assert not model.training
    expected = backbone.state_dict()
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, expected[name]), name
