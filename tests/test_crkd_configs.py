"""Cr-KD's configs: they parse, keep labels hidden, and build models."""
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.registry import (
    DATASETS,
    METRICS,
    MODELS,
    PARAM_SCHEDULERS,
)

from csd_mmpretrain.datasets.class_split import PARTS
from csd_mmpretrain.datasets.dataset_settings import source_settings

CONFIGS = Path(__file__).resolve().parents[1] / 'configs' / 'crkd'
NAMES = sorted(path.stem for path in CONFIGS.glob('*.py'))
DISCOVERIES = [name for name in NAMES if not name.endswith('_stage1')]
SPLITS = dict(cub='cub', scars='stanford-cars', aircraft='fgvc-aircraft')


def load(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


def test_metafile_and_readme_list_the_configs():
    metafile = yaml.safe_load((CONFIGS / 'metafile.yml').read_text())
    assert sorted(model['Name'] for model in metafile['Models']) == NAMES
    readme = (CONFIGS / 'README.md').read_text()
    for model in metafile['Models']:
        assert model['Config'] == f'configs/crkd/{model["Name"]}.py'
        assert f'({model["Name"]}.py)' in readme


@pytest.mark.parametrize('key, name', SPLITS.items())
def test_classes_are_those_of_the_benchmark(oracle, key, name):
    found = oracle('cr_kd/ssb_splits')
    cfg = load(f'crkd_vit-base_{name}')
    np.testing.assert_array_equal(cfg.known, found[f'{key}_known'])
    np.testing.assert_array_equal(cfg.novel, np.concatenate(
        [found[f'{key}_{part}'] for part in ('hard', 'medium', 'easy')]))
    count = len(DATASETS.get(cfg.photos.type).METAINFO['classes'])
    assert sorted(cfg.known + cfg.novel) == list(range(count))
    assert (len(cfg.known), len(cfg.novel)) == (cfg.num_known, cfg.num_novel)


def sizes(known, count):
    known = PARTS[known](count) if isinstance(known, str) else known
    return len(known), count - len(known)


@pytest.mark.parametrize('name', DISCOVERIES)
def test_both_stages_have_the_same_classes(name, monkeypatch, tmp_path):
    monkeypatch.setenv('CSD_DATA_ROOT', str(tmp_path))
    one, two = load(f'{name}_stage1'), load(name)
    train = two.train_dataloader.dataset
    assert train.type == 'NovelClasses' and 'hide' not in train
    for loader in (two.val_dataloader, two.test_dataloader):
        assert loader.dataset.hide is False
        for key in ('type', 'known', 'novel', 'num_novel'):
            assert loader.dataset.get(key) == train.get(key)
    for loader in (one.train_dataloader, one.val_dataloader):
        assert loader.dataset.type == 'ClassSplit'
        assert loader.dataset.classes == train.known
    # Aware: unlabelled training photos; agnostic: all test photos.
    same, test = (dict(cfg.dataset.dataset) for cfg in (
        two.val_dataloader, two.test_dataloader))
    for dataset in (same, test):
        assert dataset.pop('pipeline') == two.test_pipeline
    photos = dict(train.dataset)
    assert photos.pop('pipeline')[1].num_views == 2
    assert same == photos and test != photos
    assert (two.val_evaluator.mode, two.test_evaluator.mode) == (
        'aware', 'agnostic')
    head, count = two.model.head, {
        'Cotton80': 80, 'CUB': 200, 'StanfordCars': 196, 'SoyLocal': 200,
        'FGVCAircraft': 100, 'CustomDataset': 81}[photos['type']]
    assert sizes(train.known, count) == (head.num_known, head.num_novel)
    assert head.num_novel == train.num_novel
    for cfg in (two.val_evaluator, two.test_evaluator):
        assert METRICS.get(cfg.type) and cfg.num_known == head.num_known
    assert one.model.head.num_known == head.num_known
    assert one.model.backbone.type == two.model.backbone.type
    assert two.model.init_cfg.checkpoint == (
        f'work_dirs/{name}_stage1/epoch_{one.train_cfg.max_epochs}.pth')
    for cfg in (one, two):
        for key in ('train', 'val', 'test'):
            for source in source_settings(cfg[f'{key}_dataloader'].dataset):
                assert source.data_root.startswith(f'{tmp_path}/')
        assert cfg.auto_scale_lr.base_batch_size == (
            cfg.train_dataloader.batch_size)
        assert cfg.param_scheduler[1].end == cfg.train_cfg.max_epochs
        assert cfg.default_hooks.checkpoint.save_best is None


@pytest.mark.parametrize('name', [
    'crkd_mobilenet-v2_grocery81', 'crkd_vit-base_cub'])
def test_what_trains(name):
    cfg = load(f'{name}_stage1')
    init_default_scope('mmpretrain')
    settings = deepcopy(cfg.model)
    settings.backbone.pop('init_cfg')
    model = MODELS.build(dict(
        settings, data_preprocessor=cfg.data_preprocessor))
    model.train()
    for part in cfg.default_hooks.get('frozen_parts', {}).get('parts', ()):
        model.get_submodule(part).requires_grad_(False)
    trains = {name for name, p in model.named_parameters()
              if p.requires_grad and name.startswith('backbone')}
    if name == 'crkd_vit-base_cub':
        assert all(part.startswith('backbone.layers.11') for part in trains)
        assert model.backbone.layers[11].attn.qkv.weight.requires_grad
    else:
        assert trains and all(
            part.startswith(('backbone.layer7', 'backbone.conv2'))
            for part in trains)
    feats = model.extract_feat(torch.rand(2, 3, 224, 224))
    assert model.head(feats).shape == (2, cfg.num_known)


def test_schedule_is_the_published_one(oracle):
    found = oracle('cr_kd/schedule_by_formula')
    cfg = load('crkd_vit-base_cub')
    model = torch.nn.Linear(1, 1)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    schedulers = [
        PARAM_SCHEDULERS.build(dict(scheduler, optimizer=optimizer))
        for scheduler in cfg.param_scheduler]
    rates = []
    for _ in range(cfg.train_cfg.max_epochs):
        rates.append(optimizer.get_lr()['lr'][0])
        for scheduler in schedulers:
            scheduler.step()
    np.testing.assert_allclose(rates, found['lr'], rtol=1e-9)
