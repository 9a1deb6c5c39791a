import runpy
import sys

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from csd_mmpretrain.checkpoints.bare_model import build_bare_model

pytest.importorskip('pytorch_grad_cam')


@pytest.fixture(scope='module')
def tool(repo_root):
    return repo_root / 'tools/visualization/vis_cam.py'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory, tiny_config):
    path = tmp_path_factory.mktemp('cam') / 'model.pth'
    model = build_bare_model(Config.fromfile(tiny_config))
    meta = dict(dataset_meta=dict(classes=[f'class{i}' for i in range(6)]))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@pytest.fixture
def run(monkeypatch, tmp_path, tool, capsys):

    def run(*args):
        monkeypatch.setattr(sys, 'argv', [
            *map(str, (tool, *args)), '--debug'])
        monkeypatch.chdir(tmp_path)
        runpy.run_path(str(tool), run_name='__main__')
        return capsys.readouterr().out

    return run


def test_a_folder_two_models_and_classes_by_name(run, tiny_config, checkpoint,
                                                 tiny_data, tmp_path):
    printed = run(tiny_data / 'test', tiny_data / 'train/class0/0.png',
                  tiny_config, checkpoint, '--compare', tiny_config,
                  checkpoint, '--target-category', 'class3', '0', '--num', 3,
                  '--aug-smooth')
    assert 'tiny.py: backbone.layer6.' in printed
    assert (tmp_path / 'work_dirs/tiny/cam.png').is_file()


def test_preview_and_show(run, monkeypatch, tiny_config, checkpoint,
                          tiny_data, tmp_path):
    image = tiny_data / 'test' / 'class2' / '0.png'
    printed = run(image, tiny_config, checkpoint, '--preview-model')
    assert '\n  backbone.layer7.0.conv.2.bn\n' in printed
    assert not list(tmp_path.iterdir())
    shown = []
    monkeypatch.setattr(Image.Image, 'show', lambda *args: shown.append(args))
    run(image, tiny_config, checkpoint, '--save-path', 'cam.jpg', '--show',
        '--relative')
    assert shown and Image.open(tmp_path / 'cam.jpg').format == 'JPEG'


@pytest.mark.parametrize('options, message', [
    (['--method', 'saliency'], 'no method'),
    (['--target-category', 'class9'], 'There is no class'),
    (['--target-category', '6'], 'from 0 to 5'),
    (['--target-layers', 'backbone.conv3'], 'no layer'),
    (['--vit-like'], 'no feature map of tokens'),
    (['--target-layers', 'head.cls_head.fc'], 'which is no feature map'),
])
def test_errors(options, message, run, tiny_config, checkpoint, tiny_data):
    image = tiny_data / 'test' / 'class2' / '0.png'
    with pytest.raises(ValueError, match=message):
        run(image, tiny_config, checkpoint, *options)


def test_a_backbone_alone_explains_nothing(run, tiny_config, checkpoint,
                                           tiny_data, tmp_path):
    state = torch.load(checkpoint)['state_dict']
    weights = tmp_path / 'backbone.pth'
    torch.save({k: v for k, v in state.items() if 'backbone' in k}, weights)
    with pytest.raises(ValueError, match='holds no classifier'):
        run(tiny_data / 'test', tiny_config, weights)


@pytest.mark.parametrize('options, message', [
    (['--num', '0'], '--num: 0 must be at least 1'),
    (['--save-path', 'cam.svgz'], 'must end in .png'),
    (['--headings', 'a', 'b'], '2 names for 1 models'),
])
def test_wrong_options(options, message, run, capsys):
    with pytest.raises(SystemExit):
        run('a.png', 'b.py', 'c.pth', *options)
    assert message in capsys.readouterr().err
