"""Tests of JEPA's configs: data, models, schedules, lists."""
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import HOOKS, MODELS, PARAM_SCHEDULERS
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


def test_schedules_are_the_published_ones(oracle):
    """mmengine's rate and weight decay come one step later."""
    found = oracle('dseq_jepa/schedules')
    epochs, length, warmup = (int(found[name]) for name in (
        'epochs', 'iters_per_epoch', 'warmup_epochs'))
    cfg = load('dseq-jepa_vit-base_imagenet')
    wrapper = build_optim_wrapper(torch.nn.Linear(1, 1, bias=False),
                                  cfg.optim_wrapper)
    schedulers = []
    for settings, begin, end in zip(cfg.param_scheduler, (0, warmup, 0),
                                    (warmup, epochs, epochs)):
        settings = dict(settings, begin=begin, end=end)
        assert settings.pop('convert_to_iter_based')
        schedulers.append(
            PARAM_SCHEDULERS.get(settings.pop('type')).build_iter_from_epoch(
                optimizer=wrapper, epoch_length=length, **settings))
    runner = SimpleNamespace(max_iters=epochs * length)
    hook = HOOKS.build(cfg.custom_hooks[0])
    targets = MODELS.build(cfg.model.target_generator)
    rows = []
    for step in range(runner.max_iters):
        runner.iter = step
        group = wrapper.param_groups[0]
        rows.append((group['lr'], group['weight_decay'],
                     hook._momentum_of_step(runner),
                     targets.fraction((step + 1) / runner.max_iters)))
        wrapper.optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    rate, decay, momentum, share = np.array(rows).T
    first = warmup * length
    np.testing.assert_allclose(rate[[0, first]],
                               found['lr_start_peak_end'][:2], rtol=1e-9)
    late = np.r_[found['lr_start_peak_end'][0], found['lr']]
    assert (rate[:first] >= late[:first] - 1e-12).all()
    assert (rate[:first] <= late[1:first + 1] + 1e-12).all()
    np.testing.assert_allclose(rate[first:], late[first:-1], rtol=1e-9)
    np.testing.assert_allclose(decay[1:], found['weight_decay'][:-1],
                               rtol=1e-9)
    np.testing.assert_allclose(momentum, found['ema'], rtol=1e-9)
    np.testing.assert_allclose(share, found['curriculum'], rtol=1e-9)


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
