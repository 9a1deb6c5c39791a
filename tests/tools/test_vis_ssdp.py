import runpy
import sys

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.checkpoints.trained_model import load_model

CONFIG = """
_base_ = ['{base}']

pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=96),
    dict(type='CenterCrop', crop_size=96),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=[dict(type='NoSuchStep')]))
test_dataloader = dict(dataset=dict(pipeline=pipeline))
default_hooks = dict(
    ssdp=dict(view=dict(_delete_=True, type='{view}')))
model = dict(backbone=dict(init_cfg=dict(
    type='Pretrained', checkpoint='/nowhere.pth', prefix='backbone.')))
"""


@pytest.fixture(scope='module')
def tool(repo_root):
    return repo_root / 'tools/visualization/vis_ssdp.py'


@pytest.fixture(scope='module')
def config(tmp_path_factory, tiny_config):
    path = tmp_path_factory.mktemp('vis') / 'vis.py'
    path.write_text(
        CONFIG.format(
            base=tiny_config.as_posix(), view='DiscrepancyMaskView'))
    return path


@pytest.fixture(scope='module')
def checkpoint(config):
    path = config.parent / 'vis.pth'
    model = build_bare_model(Config.fromfile(config))
    meta = dict(dataset_meta=dict(classes=list('abcdef')))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@pytest.fixture
def run_tool(monkeypatch, capsys, tool, tmp_path):
    """Run the tool in this process, and give back what it printed."""

    def run(*args):
        monkeypatch.setattr(
            sys, 'argv', [str(tool), *map(str, args), '--debug'])
        monkeypatch.chdir(tmp_path)
        runpy.run_path(str(tool), run_name='__main__')
        return capsys.readouterr().out

    return run


def test_many_images_go_over_pages(run_tool, config, checkpoint, tmp_path):
    printed = run_tool(config, checkpoint, '--num', 14, '--split', 'train',
                       '--dpi', 20, '--batch-size', 5)
    assert printed.splitlines()[-1].startswith('Wrote work_dirs')
    folder = tmp_path / 'work_dirs' / config.stem
    assert {path.name for path in folder.iterdir()} == {
        'ssdp_1.png', 'ssdp_2.png'}


def test_a_folder_of_images_and_weights_of_the_backbone_alone(
        run_tool, config, tiny_data):
    model = build_bare_model(Config.fromfile(config))
    weights = config.parent / 'backbone.pth'
    state = model.backbone.state_dict(prefix='backbone.')
    state['head.fc.weight'] = torch.zeros(1000, 1280)
    torch.save(dict(state_dict=state), weights)
    out = config.parent / 'folder.pdf'
    printed = run_tool(config, weights, tiny_data / 'test', '--num', 3,
                       '--out', out, '--mode', 'soft', 'crop')
    assert 'Taking 3 of 12 images' in printed and '`--num 12`' in printed
    assert out.read_bytes().startswith(b'%PDF')


def test_a_view_without_a_mask(run_tool, tiny_config, checkpoint, tmp_path):
    out = tmp_path / 'shuffled.png'
    run_tool(tiny_config, checkpoint, '--num', 1, '--out', out)
    assert out.is_file()


def test_a_queue_of_another_length_does_not_matter(config, checkpoint):
    cfg = Config.fromfile(config)
    cfg.model.head.contrast.queue_len = 7
    loaded = load_model(cfg, str(checkpoint))
    assert loaded.has_classifier
    assert loaded.classes == list('abcdef')


@pytest.mark.parametrize('case, message', [
    ('no checkpoint', 'There is no checkpoint'),
    ('empty folder', 'There is no image in the folder'),
    ('broken image', 'truncated'),
    ('missing image', 'missing'),
    ('other model', 'lacks weights of the backbone MobileNetV2'),
    ('no pattern map', 'has no pattern map to draw'),
])
def test_errors(case, message, run_tool, tmp_path, config, checkpoint):
    args = []
    if case == 'no checkpoint':
        checkpoint = tmp_path / 'gone.pth'
    elif case == 'empty folder':
        args = [tmp_path]
    elif case == 'broken image':
        args = [tmp_path / 'half.png']
        Image.new('RGB', (64, 64), 'red').save(args[0])
        args[0].write_bytes(args[0].read_bytes()[:-30])
    elif case == 'missing image':
        args = [tmp_path / 'gone.png']
    elif case == 'other model':
        checkpoint = tmp_path / 'other.pth'
        torch.save(dict(state_dict=dict(x=torch.zeros(1))), checkpoint)
    elif case == 'no pattern map':
        plain = tmp_path / 'plain.py'
        plain.write_text(
            f'_base_ = [{str(config)!r}]\n'
            'model = dict(neck=dict(_delete_=True, '
            "type='GlobalAveragePooling'))\n")
        config = plain
    with pytest.raises((ValueError, TypeError, FileNotFoundError),
                       match=message):
        run_tool(config, checkpoint, *args)


def test_other_file(run_tool, config, checkpoint, capsys):
    with pytest.raises(SystemExit):
        run_tool(config, checkpoint, '--out', 'ssdp.gif')
    assert 'must end in .png or .pdf' in capsys.readouterr().err
