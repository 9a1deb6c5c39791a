"""Tests of ST-ProtoPNet's configs: data, models, published schedules."""
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
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, HOOKS, PARAM_SCHEDULERS
from mmpretrain.structures import DataSample

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.methods.st_protopnet.prototype_hook import (
    JOINT,
    LAST_LAYER,
    WARM,
)

REPO = Path(__file__).resolve().parents[1]
CONFIGS = REPO / 'configs' / 'st_protopnet'
NAMES = sorted(path.stem for path in CONFIGS.glob('*.py'))


@lru_cache(maxsize=None)
def load(name):
    with patch.dict(os.environ):
        os.environ.pop('CSD_DATA_ROOT', None)
        return Config.fromfile(CONFIGS / f'{name}.py')


def source(dataset):
    return dataset.get('dataset', dataset)


def small_model(name):
    cfg = deepcopy(load(name))
    if cfg.model.backbone.type == 'ResNet':
        cfg.model.backbone.depth = min(cfg.model.backbone.depth, 50)
    return build_bare_model(cfg)


def test_metafile_and_readme_list_the_configs():
    metafile = yaml.safe_load((CONFIGS / 'metafile.yml').read_text())
    assert sorted(model['Name'] for model in metafile['Models']) == NAMES
    for model in metafile['Models']:
        assert model['Config'] == f'configs/st_protopnet/{model["Name"]}.py'
    readme = (CONFIGS / 'README.md').read_text()
    for name in NAMES:
        assert f'({name}.py)' in readme


@pytest.mark.parametrize('name', NAMES)
def test_config_obeys_the_data_root_and_dumps(name, monkeypatch, tmp_path):
    monkeypatch.setenv('CSD_DATA_ROOT', str(tmp_path))
    config = Config.fromfile(CONFIGS / f'{name}.py')
    for loader in ('train', 'val', 'test'):
        dataset = source(config[f'{loader}_dataloader'].dataset)
        assert dataset.data_root.startswith(f'{tmp_path}/')
        assert DATASETS.get(dataset.type)
    config.dump(tmp_path / 'dumped.py')
    dumped = Config.fromfile(tmp_path / 'dumped.py')
    assert dumped.to_dict() == config.to_dict()
    assert config.default_hooks.checkpoint.save_best is None


@pytest.mark.parametrize('name', NAMES)
def test_model_learns_and_the_map_is_14_x_14(name):
    init_default_scope('mmpretrain')
    cfg, model = load(name), small_model(name).train()
    size = 448 if 'cotton' in name else 224
    pipeline = source(cfg.train_dataloader.dataset).pipeline
    image = np.random.RandomState(0).randint(
        0, 256, (300, 420, 3), dtype=np.uint8)
    packed = Compose(pipeline[1:])(dict(
        img=image, img_shape=image.shape[:2], gt_label=0,
        box=(10, 20, 200, 280)))
    assert packed['inputs'].shape == (3, size, size)
    data = model.data_preprocessor(dict(
        inputs=[packed['inputs']] * 2,
        data_samples=[DataSample().set_gt_label(i) for i in (0, 1)]), True)
    losses = model(**data, mode='loss')
    total = sum(v for key, v in losses.items() if 'loss' in key)
    total.backward()
    assert total.isfinite()
    with torch.no_grad():
        maps = model.head.branch_maps(model.extract_feat(data['inputs']))
    cells = 7 if model.head.trivial.form == 'cropped' else 14
    assert maps['support'].shape[2:] == (cells, cells)
    classes = cfg.data_preprocessor.num_classes
    assert model.head.num_classes == classes


def rates_by_stage(name):
    """The learning rates of backbone, prototypes and last layer, by epoch."""
    cfg = load(name)
    model = small_model(name)
    hook = HOOKS.build(dict(cfg.default_hooks.prototypes))
    wrapper = build_optim_wrapper(model, dict(cfg.optim_wrapper))
    scheduler = PARAM_SCHEDULERS.build(dict(
        cfg.param_scheduler, optimizer=wrapper, by_epoch=True))
    weights = (next(model.backbone.parameters()),
               model.head.trivial.prototypes,
               model.head.support.last_layer.weight)
    groups = [next(g for g in wrapper.param_groups
                   if g['params'][0] is weight) for weight in weights]
    rows = []
    for epoch in range(cfg.train_cfg.max_epochs):
        rows.append((hook.stage(epoch), *(g['lr'] for g in groups)))
        scheduler.step()
    assert hook.push_epochs[-1] + hook.tune_epochs == len(rows)
    assert [group['weight_decay'] for group in groups[1:]] == [0, 0]
    return rows, groups


@pytest.mark.parametrize('name, published, lr', [
    ('resnet50_cub', 'full_cub', 1e-5),
    ('resnet50_stanford-dogs', 'full_dogs', 1e-5),
    ('resnet50_cotton80', 'full_cub', 1e-4),
    ('resnet34_cub_cropped', 'cropped', 1e-4),
    ('resnet50_stanford-cars', 'cropped', 1e-4)])
def test_the_schedule_is_the_published_one(oracle, name, published, lr):
    """Tuning left out, which published epochs do not count."""
    rows, groups = rates_by_stage(f'st-protopnet_{name}')
    rates = oracle('st_protopnet/schedules')[f'{published}_backbone_lr']
    trained = [row for row in rows if row[0] != LAST_LAYER]
    assert len(trained) == len(rates)
    first = rates[np.isfinite(rates)][0]
    for (stage, backbone, prototypes, _), rate in zip(trained, rates):
        assert (stage == WARM) == np.isnan(rate)
        if stage == WARM:
            assert prototypes == pytest.approx(3e-3)
        else:
            assert stage == JOINT
            assert backbone == pytest.approx(lr * rate / first)
            assert prototypes == pytest.approx(3e-3 * rate / first)
    assert groups[2]['initial_lr'] == pytest.approx(1e-4)
