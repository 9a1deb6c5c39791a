"""Tests of ImprintHook against a loop over the photos."""
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.runner import Runner
from noise_images import write_noise_images

from csd_mmpretrain.methods.peers.imprint_hook import class_means

CLASSES = 3
ARCFACE = dict(
    type='BoundedArcFaceClsHead', num_classes=CLASSES, in_channels=1280,
    scale=16., margins=0.2)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_noise_images(tmp_path_factory.mktemp('data'), 4)


@pytest.fixture
def make_runner(data, tmp_path, repo_root):
    def make(config='peers/grocery81_arcface-imprint', head=ARCFACE, **changes):
        cfg = Config.fromfile(repo_root / f'configs/{config}.py')
        cfg.work_dir, cfg.log_level = str(tmp_path), 'WARNING'
        cfg.experiment_name = f'test_{tmp_path.name}'
        cfg.model.backbone.pop('init_cfg')
        cfg.model.head = deepcopy(head)
        cfg.data_preprocessor.num_classes = CLASSES
        steps = [dict(type='LoadImageFromFile'),
                 dict(type='RandomResizedCrop', scale=32),
                 dict(type='PackInputs')]
        for name in ('train', 'val', 'test'):
            loader = cfg[f'{name}_dataloader']
            loader.update(batch_size=5, num_workers=0,
                          persistent_workers=False)
            loader.dataset = dict(type='CustomDataset', data_root=str(data),
                                  pipeline=deepcopy(steps))
            steps[1] = dict(type='Resize', scale=(32, 32))
        cfg.val_evaluator.topk = cfg.test_evaluator.topk = (1, )
        for name in ('visualization', 'image_cache', 'keep_memory'):
            cfg.default_hooks.pop(name)
        cfg.merge_from_dict(changes)
        return Runner.from_cfg(cfg)
    return make


def look_before_training(runner):
    """Call the hook alone, as the runner would before the first step."""
    runner.call_hook('before_run')
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.model.init_weights()
    hook, = [hook for hook in runner.hooks
             if type(hook).__name__ == 'ImprintHook']
    drawn = deepcopy(runner.model.state_dict())
    hook.before_train(runner)
    return drawn


def slow_directions(model, data):
    """Mean direction of each class, one photo at a time."""
    model.eval()
    sums = torch.zeros(CLASSES, 1280)
    for label in range(CLASSES):
        for path in sorted((data / f'class{label}').iterdir()):
            import mmcv
            image = mmcv.imresize(mmcv.imread(str(path)), (32, 32))
            batch = model.data_preprocessor(dict(
                inputs=[torch.from_numpy(image).permute(2, 0, 1)]))
            with torch.no_grad():
                feature = model.neck(model.backbone(batch['inputs']))[-1][0]
            sums[label] += F.normalize(feature, dim=0)
    return F.normalize(sums)


def test_weights_point_along_the_mean_of_a_loop_over_photos(
        make_runner, data):
    runner = make_runner()
    states = torch.get_rng_state()
    drawn = look_before_training(runner)
    weight = runner.model.head.norm_product.weight
    torch.testing.assert_close(
        F.normalize(weight), slow_directions(runner.model, data),
        atol=1e-5, rtol=1e-4)
    before = drawn.pop('head.norm_product.weight')
    torch.testing.assert_close(weight.norm(dim=1), before.norm(dim=1))
    # Nothing else has changed, batch norm's statistics included.
    found = runner.model.state_dict()
    assert all(torch.equal(found[name], value)
               for name, value in drawn.items())
    del states
