"""Tests of JEPA's configs: data, models, schedules, lists."""
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import yaml
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline

CONFIGS = Path(__file__).resolve().parents[1] / 'configs/jepa'
NAMES = sorted(path.stem for path in CONFIGS.glob('*.py'))
PRETRAINING = [name for name in NAMES if 'jepa_' in name]
CLASSIFIERS = [name for name in NAMES if name not in PRETRAINING]


def load(name):
    with patch.dict('os.environ', CSD_DATA_ROOT='data'):
        return Config.fromfile(CONFIGS / f'{name}.py')


@pytest.mark.parametrize('name', PRETRAINING)
def test_a_step_of_each(name):
    cfg = load(name)
    steps = cfg.train_dataloader.dataset.pipeline
    size = cfg.model.backbone.img_size
    assert next(s for s in steps if s['type'] == 'RandomResizedCrop')[
        'scale'] == size
    assert cfg.train_dataloader.collate_fn.type == 'default_collate'
    assert cfg.custom_hooks[0].type == 'JEPAHook'
    model = MODELS.build(cfg.model)
    model.start_step(0, 1.)
    model.train()
    if 'base' in name:
        return
    losses = model.loss(torch.rand(1, 3, size, size), None)
    assert losses['loss_jepa'].isfinite()
    assert ('dseq_share' in losses) == name.startswith('dseq')


@pytest.mark.parametrize('name', [n for n in NAMES if n.startswith('dseq')])
def test_the_two_methods_differ_in_their_targets_alone(name):
    own, other = load(name), load(name.replace('dseq-jepa', 'ijepa'))
    for cfg in (own, other):
        cfg.model.pop('target_generator')
    assert own.to_dict() == other.to_dict()


def test_the_encoder_fits_what_starts_from_it(tmp_path):
    path = tmp_path / 'backbone.pth'
    for start, names in (
            ('dseq-jepa_vit-tiny_grocery81', [
                'linear_vit-tiny_grocery81', 'finetune_vit-tiny_grocery81',
                '../csdnet/grocery81_from-jepa']),
            ('dseq-jepa_vit-small_cub', [
                'linear_vit-small_cub', 'linear_vit-small_cub_last-four'])):
        state = MODELS.build(load(start).model.backbone).state_dict()
        torch.save(state, path)
        for name in names:
            cfg = load(name)
            cfg.model.backbone.init_cfg = dict(
                type='Pretrained', checkpoint=str(path))
            model = MODELS.build(cfg.model)
            model.init_weights()
            for key, value in model.backbone.state_dict().items():
                assert torch.equal(value, state[key]), (name, key)
            if cfg.model.head.type == 'CSDHead':  # its step needs a hook
                continue
            sample = DataSample().set_gt_label(3)
            size = cfg.model.backbone.img_size
            losses = model.loss(
                torch.rand(2, 3, size, size), [sample, sample])
            assert losses['loss'].isfinite()


@pytest.mark.parametrize('name', CLASSIFIERS)
def test_images_are_of_the_size_of_the_encoder(name):
    cfg = load(name)
    size = cfg.model.backbone.img_size
    train = cfg.train_dataloader.dataset
    crop = train.get('dataset', train).pipeline[1]
    assert crop.scale == size
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.pipeline[2].crop_size == size


def test_a_quarter_of_the_labels(grocery_root, monkeypatch):
    monkeypatch.setenv('CSD_DATA_ROOT', str(grocery_root.parent))
    cfg = Config.fromfile(CONFIGS / 'finetune_vit-tiny_grocery81.py')
    dataset = build_without_pipeline(cfg.train_dataloader.dataset)
    labels = [dataset.get_data_info(i)['gt_label']
              for i in range(len(dataset))]
    assert sorted(labels) == sorted(2 * list(range(81)))


def test_metafile_lists_every_config():
    text = (CONFIGS / 'metafile.yml').read_text()
    models = yaml.safe_load(text)['Models']
    assert sorted(model['Name'] for model in models) == NAMES
    for model in models:
        assert model['Config'] == f'configs/jepa/{model["Name"]}.py'
