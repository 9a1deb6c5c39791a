"""ECAML's configs: they parse, keep classes apart, and build models."""
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, HOOKS, METRICS, MODELS

from csd_mmpretrain.datasets.class_split import PARTS
from csd_mmpretrain.datasets.dataset_settings import source_settings

CONFIGS = Path(__file__).resolve().parents[1] / 'configs' / 'ecaml'
NAMES = sorted(path.stem for path in CONFIGS.glob('*.py'))


def load(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


def test_metafile_and_readme_list_the_configs():
    metafile = yaml.safe_load((CONFIGS / 'metafile.yml').read_text())
    assert sorted(model['Name'] for model in metafile['Models']) == NAMES
    readme = (CONFIGS / 'README.md').read_text()
    for model in metafile['Models']:
        assert model['Config'] == f'configs/ecaml/{model["Name"]}.py'
        assert f'({model["Name"]}.py)' in readme


@pytest.mark.parametrize('name', NAMES)
def test_config(name, monkeypatch, tmp_path):
    monkeypatch.setenv('CSD_DATA_ROOT', str(tmp_path))
    config = load(name)
    config.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == (
        config.to_dict())
    train, test = (config[f'{split}_dataloader'].dataset
                   for split in ('train', 'test'))
    for settings in (train, test):
        for source in source_settings(settings):
            assert source.data_root.startswith(f'{tmp_path}/')
            assert DATASETS.get(source.type)
    hooks = config.default_hooks
    assert hooks.unseen.query_dataloader.dataset == test
    if train.type == 'ClassSplit':
        assert test.unseen and (train.classes, test.classes) == (
            'first-half', 'last-half')
        assert not set(PARTS['first-half'](81)) & set(PARTS['last-half'](81))
        seen = hooks.seen.query_dataloader.dataset
        assert seen.classes == train.classes
    else:
        assert (train.split, test.split) == ('train', 'test')
    sampler = config.train_dataloader.sampler
    size = sampler.num_classes * sampler.num_images
    assert size == config.train_dataloader.batch_size
    assert size == config.auto_scale_lr.base_batch_size
    init_default_scope('mmpretrain')
    for metric in config.test_evaluator:
        METRICS.build(metric)
    for hook in (hooks.seen, hooks.unseen):
        assert HOOKS.build(hook).stage == 'pre_logits'


@pytest.mark.parametrize('name', NAMES)
def test_model_learns_its_embedding_ten_times_as_fast(name):
    if 'MetricLearningLoss' in str(load(name).model):
        pytest.importorskip('pytorch_metric_learning')
    config = load(name)
    init_default_scope('mmpretrain')
    settings = deepcopy(config.model)
    settings.backbone.pop('init_cfg')
    if settings.backbone.type == 'ResNet':
        settings.backbone.depth = 18
        settings.head.in_channels = 512
    settings.data_preprocessor = config.data_preprocessor
    model = MODELS.build(settings)
    wrapped = [p.requires_grad for p in model.parameters()]
    model.train()
    if wrapped != [p.requires_grad for p in model.parameters()]:
        assert config.find_unused_parameters  # DDP waits for all of before
    lr = config.optim_wrapper.optimizer.lr
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    names = {id(p): name for name, p in model.named_parameters()}
    factors = {'head.fc.weight': 10, 'head.fc.bias': 20}
    for group in wrapper.optimizer.param_groups:
        factor = factors.get(names[id(group['params'][0])], 1)
        assert group['lr'] == pytest.approx(factor * lr)
    batch = dict(inputs=torch.randint(0, 256, (24, 3, 32, 32)).byte())
    data = model.data_preprocessor(batch, training=True)
    x = model.extract_feat(data['inputs'])
    losses = model.head.compare(x[-1], torch.arange(24) % 6)
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert model.head.fc.weight.grad.any()
    assert any(p.grad is not None and p.grad.any()
               for p in model.backbone.parameters())
    assert ('loss_ec' in losses) == (not name.endswith('metric-loss'))
