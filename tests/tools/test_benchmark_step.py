import runpy
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmpretrain.registry import MODELS

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.benchmark import step_benchmark
from csd_mmpretrain.benchmark.step_benchmark import (
    StepSetting,
    config_img_size,
    format_table,
    model_step,
    plain_model_cfg,
    step_variants,
)
from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.layers.ema_teacher import EMATeacher
from csd_mmpretrain.utils.measure import Cost


@pytest.fixture
def cfg(tiny_config):
    return Config.fromfile(tiny_config)


def test_ratios_and_rates(cfg):
    setting = StepSetting(cfg, batch_size=10, img_size=32, name='CSDNet')
    seconds = np.array([[0.5, 0.5, 0.5], [1., 1., 1.], [1., 1.1, 1.2]])
    costs = {
        name: Cost(*cost) for name, *cost in zip(
            step_variants(setting), seconds, [100., 100., 190.])
    }
    table = format_table(setting, costs)
    assert table.startswith(
        '| per training step | ms | spread | images/s | peak memory (MiB) |\n'
        '| :--- | ---: | ---: | ---: | ---: |\n'
        '| the plain classifier | 500 | 0.0% | 20.00 | 100 |\n')
    assert '| CSDNet | 1100 | 4.5% | 9.09 | 190 |' in table
    assert 'the plain classifier: time x 2.200, memory x 1.90' in table
    assert 'two plain passes: time x 1.100, memory x 1.90' in table


@pytest.mark.parametrize('variant, passes', [
    ('the plain classifier', 1), ('two plain passes', 2),
    ("the config's model", 2)])
def test_what_a_step_does(cfg, monkeypatch, variant, passes):
    """Passes through the backbone, images in each, and weight updates."""
    cfg.model.head.contrast.own_image = False  # has to know the images
    seen, stepped = [], []
    forward = torch.nn.Module.__call__

    def count(module, *args, **kwargs):
        if type(module).__name__ == 'MobileNetV2':
            seen.append(len(args[0]))
        return forward(module, *args, **kwargs)

    adamw_step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.nn.Module, '__call__', count)
    monkeypatch.setattr(torch.optim.AdamW, 'step', lambda self, *a: (
        stepped.append(1), adamw_step(self, *a)))
    model_step(StepSetting(cfg, 4, 32), variant)()
    assert seen == [4] * passes
    assert len(stepped) == 1


def test_as_many_plain_passes_as_the_backbone_makes(cfg):
    setting = StepSetting(cfg, 4, 32)
    names = ['the plain classifier', "the config's model"]
    assert list(step_variants(setting._replace(training=False))) == names
    cfg.default_hooks.ssdp.scale = 0.5
    assert list(step_variants(setting)) == [
        names[0], 'two plain passes', names[1]]
    cfg.default_hooks.ssdp.enabled = False
    assert list(step_variants(setting)) == names


@pytest.mark.parametrize('name', [
    str, 'mmpretrain.{}'.format, MODELS.get], ids=['name', 'scope', 'class'])
def test_the_plain_model(cfg, name):
    for part in ('neck', 'head'):
        cfg.model[part].type = name(cfg.model[part].type)
    plain = plain_model_cfg(cfg.model)
    assert plain.head == cfg.model.head.cls_head
    assert plain.backbone == cfg.model.backbone
    assert plain.neck.type == 'GlobalAveragePooling'
    tokens = dict(cfg.model, neck=dict(type='SSDPNeck', layout='tokens'))
    assert plain_model_cfg(tokens)['neck'] == dict(
        type='SSDPNeck', layout='tokens', gating='none', kernel='gap')
    with pytest.raises(ValueError, match='head is LinearClsHead'):
        plain_model_cfg(plain)


def test_a_head_that_takes_the_map_is_compared_with_a_pooled_one(cfg):
    cfg.model.pop('neck')
    cfg.model.head = dict(
        type='STProtoPNetHead', num_classes=6, in_channels=1280)
    plain = plain_model_cfg(cfg.model)
    assert plain['neck'] == dict(type='GlobalAveragePooling')
    assert plain['head'] == dict(
        type='LinearClsHead', num_classes=6, in_channels=1280)
    cfg.default_hooks.pop('ssdp')
    for name in step_variants(StepSetting(cfg, 4, 64)):
        model_step(StepSetting(cfg, 4, 64), name)()


def test_jepa_is_compared_with_its_networks(repo_root, monkeypatch):
    """The same passes of the same sizes; the step does the rest, too."""
    setting = StepSetting(Config.fromfile(
        repo_root / 'configs/jepa/dseq-jepa_vit-tiny_grocery81.py'), 6, 96)
    assert list(step_variants(setting)) == [
        'its networks alone', "the config's model"]
    seen, moved = [], []
    forward, follow = torch.nn.Module.__call__, EMATeacher.follow

    def count(module, *args, **kwargs):
        if type(module).__name__ in ('TransformerEncoderLayer',
                                     'JEPAPredictor'):
            seen.append((type(module).__name__, args[0].shape))
        return forward(module, *args, **kwargs)

    monkeypatch.setattr(torch.nn.Module, '__call__', count)
    monkeypatch.setattr(EMATeacher, 'follow', lambda *args: (
        moved.append(1), follow(*args)))
    found = []
    for name in step_variants(setting):
        step = model_step(setting, name)
        seen.clear()
        step()
        found.append(list(seen))
    assert found[0] == found[1] and len(found[0]) == 3 + 3 + 1 + 2
    assert len(found[0][3][1]) == 3 and found[0][3][1][0] >= 6
    assert len(moved) == 1  # by the step alone


def test_no_weights_are_fetched(cfg):
    pretrained = dict(type='Pretrained', checkpoint='/nowhere.pth')
    cfg.model.backbone.init_cfg = [
        dict(type='Kaiming', layer='Conv2d'), pretrained
    ]
    model = build_bare_model(cfg)
    model.init_weights()
    assert cfg.model.backbone.init_cfg[1].type == 'Pretrained'


@pytest.mark.parametrize('pipeline, size', [
    ([dict(type='Resize', scale=600), dict(type='RandomCrop', crop_size=448)],
     448),
    ([dict(type='RandomResizedCrop', scale=224), dict(type='PackInputs')],
     224),
    ([dict(type='Resize', scale=(96, 96))], 96),
])
def test_the_size_of_the_images(pipeline, size):
    dataset = dict(type='CustomDataset', pipeline=pipeline)
    for given in (dataset, dict(type='RepeatDataset', dataset=dataset)):
        cfg = ConfigDict(train_dataloader=dict(dataset=given))
        assert config_img_size(cfg) == size
    with pytest.raises(ValueError, match='--img-size'):
        config_img_size(
            ConfigDict(train_dataloader=dict(dataset=dict(pipeline=[]))))


def test_the_size_can_be_given(tiny_config, tmp_path, repo_root, monkeypatch,
                               capsys):
    """Where the pipeline does not tell it."""
    config = tmp_path / 'config.py'
    config.write_text(
        f'_base_ = {str(tiny_config)!r}\n'
        "train_dataloader = dict(dataset=dict(pipeline=[dict(type='"
        "LoadImageFromFile'), dict(type='PackInputs')]))")
    monkeypatch.setattr(step_benchmark, 'peak_memory', lambda *_: 1)
    args = ['benchmark_step.py', str(config), '--iters', '1', '--warmup', '0']
    for given, said in (([], SystemExit), (['--img-size', '32'], None)):
        monkeypatch.setattr(sys, 'argv', args + given)
        with pytest.raises(said, match='--img-size') if said else (
                nullcontext()):
            runpy.run_path(str(repo_root / 'tools/benchmark_step.py'),
                           run_name='__main__')
    assert '| CSDNet |' in capsys.readouterr().out
