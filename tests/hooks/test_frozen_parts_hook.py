from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from noise_images import write_noise_images

REPO = Path(__file__).resolve().parents[2]
CONFIGS = [REPO / 'configs/cmd' / f'{name}.py'
           for name in ('linear_grocery81', 'linear_vit_last-four')]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_noise_images(tmp_path_factory.mktemp('data'), 4)


def make_runner(config, data, work_dir, **hook):
    """A small net in a config's place, with its own schedule and hook."""
    cfg = Config.fromfile(config)
    cfg.work_dir, cfg.log_level = str(work_dir), 'WARNING'
    cfg.experiment_name = f'test_{work_dir.name}'
    if cfg.model.backbone.type == 'VisionTransformer':
        cfg.model.backbone.update(
            img_size=32, out_indices=[0, 1, 2, 3], drop_path_rate=0.5,
            arch=dict(embed_dims=16, num_layers=4, num_heads=2,
                      feedforward_channels=24))
        cfg.model.head.in_channels = 64
    else:
        cfg.model.backbone = dict(type='MobileNetV2', widen_factor=0.25)
    cfg.model.head.num_classes = cfg.data_preprocessor.num_classes = 3
    dataset = dict(
        type='LabelFraction',
        fraction=0.8,
        dataset=dict(
            type='CustomDataset',
            data_root=str(data),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='RandomResizedCrop', scale=32),
                dict(type='PackInputs'),
            ]))
    for loader, part in ((cfg.train_dataloader, dataset),
                         (cfg.val_dataloader, dataset['dataset'])):
        loader.update(batch_size=3, num_workers=0, persistent_workers=False)
        loader.dataset = part
    cfg.val_evaluator.topk = (1, )
    cfg.train_cfg.update(max_epochs=2, val_interval=1)
    cfg.optim_wrapper.optimizer.lr = 10.
    cfg.default_hooks.frozen_parts.update(hook)
    for name in ('visualization', 'image_cache', 'keep_memory'):
        cfg.default_hooks.pop(name)
    return Runner.from_cfg(cfg)


@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_only_the_head_learns(config, data, tmp_path):
    runner = make_runner(config, data, tmp_path)
    runner._init_model_weights()
    before = deepcopy(runner.model.state_dict())
    modes = []
    runner.model.backbone.register_forward_hook(
        lambda module, *_: modes.append(
            any(m.training for m in module.modules())))
    runner.train()
    assert len(runner.train_dataloader.dataset) == 9
    assert runner.train_dataloader.dataset.CLASSES is not None
    assert len(modes) > 6 and not any(modes)
    for name, value in runner.model.state_dict().items():
        changed = not torch.equal(value, before[name])
        assert changed == name.startswith('head.'), name


def test_errors(data, tmp_path):
    for parts, expected in ((['trunk'], "has no part 'trunk'"),
                            (['backbone', 'head'], 'nothing learns')):
        runner = make_runner(CONFIGS[0], data, tmp_path, parts=parts)
        with pytest.raises(ValueError, match=expected):
            runner.train()
    # As the wrapper of several processes.
    runner.model.find_unused_parameters = False
    with pytest.raises(ValueError, match='`find_unused_parameters = True`'):
        runner.call_hook('before_train')


@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_configs_build(config):
    cfg = Config.fromfile(config)
    model = MODELS.build(
        dict(cfg.model, data_preprocessor=cfg.data_preprocessor)).eval()
    with torch.no_grad():
        assert model(torch.rand(1, 3, 224, 224)).shape == (1, 81)
    assert cfg.optim_wrapper.optimizer.weight_decay == 0
