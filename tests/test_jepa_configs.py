"""Tests of JEPA's configs: data, models, schedules, lists."""
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import yaml
from mmengine.config import Config
from mmpretrain.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[1] / 'configs/jepa'
NAMES = sorted(path.stem for path in CONFIGS.glob('*.py'))


def load(name):
    with patch.dict('os.environ', CSD_DATA_ROOT='data'):
        return Config.fromfile(CONFIGS / f'{name}.py')


@pytest.mark.parametrize('name', NAMES)
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


def test_metafile_lists_every_config():
    text = (CONFIGS / 'metafile.yml').read_text()
    models = yaml.safe_load(text)['Models']
    assert sorted(model['Name'] for model in models) == NAMES
    for model in models:
        assert model['Config'] == f'configs/jepa/{model["Name"]}.py'
