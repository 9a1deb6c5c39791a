"""Tests of the pre-training configs: data, crops, models, schedules."""
import os
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, HOOKS, MODELS

REPO = Path(__file__).resolve().parents[1]
CONFIGS = REPO / 'configs' / 'cmd'
PEERS = REPO / 'configs' / 'peers'
OWN = sorted(path.stem for path in CONFIGS.glob('*.py'))
OTHERS = sorted(
    path.stem for path in PEERS.glob('*.py')
    if path.stem.startswith(('dino_', 'mocov2_', 'simsiam_')))
NAMES = OWN + OTHERS
PRETRAINING = [
    name for name in NAMES
    if name.startswith(('cmd_', 'dino_', 'mocov2_', 'simsiam_'))
]
DISTILLED = [name for name in PRETRAINING
             if name.startswith(('cmd_', 'dino_'))]
SHALLOW = dict(
    SwinTransformer=dict(
        arch=dict(
            embed_dims=96, depths=[1, 1, 1, 1], num_heads=[3, 6, 12, 24])),
    VisionTransformer=dict(
        arch=dict(
            embed_dims=384,
            num_layers=1,
            num_heads=6,
            feedforward_channels=384)),
    MobileNetV2={})


def path_of(name):
    return (PEERS if name in OTHERS else CONFIGS) / f'{name}.py'


@lru_cache(maxsize=None)
def load(name):
    with patch.dict(os.environ):
        os.environ.pop('CSD_DATA_ROOT', None)
        return Config.fromfile(path_of(name))


def parts_of(dataset):
    return dataset.get('datasets', [dataset])


def crops_of(name):
    """The crops of one image, of which the middle shows a square."""
    init_default_scope('mmpretrain')
    pipeline = parts_of(load(name).train_dataloader.dataset)[0]['pipeline']
    image = np.random.RandomState(0).randint(
        0, 256, (300, 420, 3), dtype=np.uint8)
    return Compose(pipeline[1:])(
        dict(img=image, img_shape=image.shape[:2]))['inputs']


def shallow_model(name):
    init_default_scope('mmpretrain')
    settings = deepcopy(load(name).model)
    settings.backbone.pop('init_cfg', None)
    if not isinstance(settings.backbone.get('arch'), dict):
        settings.backbone.update(SHALLOW[settings.backbone.type])
    for part in ('neck', 'region_neck', 'head'):
        if 'num_prototypes' in (settings.get(part) or {}) or (
                name in DISTILLED and settings.get(part)):
            settings[part].num_prototypes = 32
    settings.data_preprocessor = load(name).data_preprocessor
    return MODELS.build(settings)


def test_metafile_and_readme_list_the_configs():
    metafile = yaml.safe_load((CONFIGS / 'metafile.yml').read_text())
    listed = [model['Name'] for model in metafile['Models']]
    assert sorted(listed) == OWN
    for model in metafile['Models']:
        assert model['Config'] == f'configs/cmd/{model["Name"]}.py'
        assert not {'Weights', 'Results'} & set(model)
    readme = (CONFIGS / 'README.md').read_text()
    for name in OWN:
        assert f'({name}.py)' in readme


@pytest.mark.parametrize('name', NAMES)
def test_config_obeys_the_data_root(name, monkeypatch, tmp_path):
    monkeypatch.setenv('CSD_DATA_ROOT', str(tmp_path))
    config = Config.fromfile(path_of(name))
    for dataset in parts_of(config.train_dataloader.dataset):
        assert dataset.data_root.startswith(f'{tmp_path}/')
        assert DATASETS.get(dataset.type)
    for dataset in parts_of(load(name).train_dataloader.dataset):
        assert dataset.data_root.startswith('data/')


@pytest.mark.parametrize('name', NAMES)
def test_dumped_config_is_the_same(name, tmp_path):
    load(name).dump(tmp_path / 'dumped.py')
    dumped = Config.fromfile(tmp_path / 'dumped.py')
    assert dumped.to_dict() == load(name).to_dict()


@pytest.mark.parametrize('name', [
    'cmd_swin-tiny_cotton80', 'cmd_swin-tiny_soyageing',
    'cmd_mobilenet-v2_grocery81', 'mocov2_mobilenet-v2_grocery81'
])
def test_crops(name):
    crops = crops_of(name)
    large, small, count = (224, 96, 8) if 'swin' in name else (128, 64, 4)
    count = 0 if name.startswith('moco') else count
    assert [tuple(crop.shape) for crop in crops] == (
        2 * [(3, large, large)] + count * [(3, small, small)])
    assert all(crop.dtype == torch.uint8 for crop in crops)
    assert not torch.equal(crops[0], crops[1])


@pytest.mark.parametrize('name', PRETRAINING)
def test_model_builds_and_learns(name):
    model = shallow_model(name).train()
    if name in DISTILLED:
        model.head.teacher_temp = 0.04
    crops = [torch.stack([x, x.flip(2)]) for x in crops_of(name)[:4]]
    data = model.data_preprocessor(dict(inputs=crops, data_samples=[]))
    if name.startswith('mocov2'):
        model.queue_len = 2
    losses = model(**data, mode='loss')
    total = sum(value for key, value in losses.items() if 'loss' in key)
    total.backward()
    assert total.isfinite() and any(
        p.grad is not None and p.grad.any()
        for p in model.backbone.parameters())


@pytest.mark.parametrize('name', PRETRAINING)
def test_hooks_build_and_schedules_end_with_the_training(name):
    config = load(name)
    for hook in config.custom_hooks:
        HOOKS.build(hook)
    kinds = [hook.type for hook in config.custom_hooks]
    assert ('SelfDistillationHook' in kinds) == (name in DISTILLED)
    knn = config.default_hooks.get('knn')
    assert (knn is not None) == ('grocery81' in name)
    if knn is not None:
        HOOKS.build(knn)
        assert knn.query_dataloader.dataset.ann_file == 'meta/train.txt'
    ends = {scheduler.end for scheduler in config.param_scheduler[1:]}
    assert ends == {config.train_cfg.max_epochs}
    assert config.default_hooks.checkpoint.save_best is None


@pytest.mark.parametrize('name', ['cmd_swin-tiny_cotton80',
                                  'cmd_mobilenet-v2_grocery81',
                                  'cmd_vit-tiny_grocery81'])
def test_dino_is_the_same_without_regions(name):
    ours = load(name).to_dict()
    dino = load(name.replace('cmd_', 'dino_')).to_dict()
    assert dino['model'].pop('region_neck') is None
    assert ours['model'].pop('region_neck')
    ours['model']['head'].update(
        image_weight=1., region_weight=0., inter_weight=0.)
    assert ours == dino


def test_moco_fills_its_queue_evenly():
    config = load('mocov2_mobilenet-v2_grocery81')
    batch = config.train_dataloader.batch_size
    assert config.model.queue_len % batch == 0
    assert config.train_dataloader.batch_sampler.drop_last
    assert config.model.queue_len <= 648


@pytest.mark.parametrize('name', ['grocery81', 'cotton80'])
def test_csdnet_goes_on_from_cmd(name):
    config = Config.fromfile(REPO / f'configs/csdnet/{name}_from-cmd.py')
    init = config.model.backbone.init_cfg
    folder = Path(init.checkpoint).parent.name
    before = load(folder).model.backbone
    assert init.prefix == 'backbone.' and folder in PRETRAINING
    for key in ('type', 'arch', 'widen_factor'):
        assert before.get(key, 1.0) == config.model.backbone.get(key, 1.0)
