"""CMD in real runs: schedules, frozen prototypes, resume, ranks, collapse."""
import itertools
import math

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS, MODELS
from PIL import Image

from csd_mmpretrain.checkpoints.backbone_file import export_backbone
from csd_mmpretrain.methods.cmd.collapse_check_hook import CollapseCheckHook
from csd_mmpretrain.methods.cmd.self_distillation_hook import (
    SelfDistillationHook,
)

IMAGES, BATCH, EPOCHS, K = 14, 4, 3, 16
STEPS = -(-IMAGES // BATCH)
NAMES = itertools.count()
NECK = dict(
    type='CMDNeck',
    in_channels=16,
    num_prototypes=K,
    hidden_channels=8,
    bottleneck_channels=6)
MODEL = dict(
    type='CMD',
    backbone=dict(
        type='ResNet',
        depth=18,
        num_stages=2,
        strides=(1, 2),
        dilations=(1, 1),
        out_indices=(1, ),
        stem_channels=8,
        base_channels=8,
        drop_path_rate=.2),
    neck=NECK,
    region_neck=NECK,
    aggregator=dict(type='GatedAttentionBag', in_channels=16),
    head=dict(type='CMDHead', num_prototypes=K))


@HOOKS.register_module()
class WatchHook(Hook):
    """Keep what each step has, and stop after some."""
    priority = 'LOWEST'

    def __init__(self, stop=math.inf):
        self.stop = stop
        self.steps = []

    def before_train(self, runner):
        self.first = {name: value.clone() for name, value
                      in runner.model.state_dict().items()}

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        model = runner.model
        self.steps.append(dict(
            temp=model.head.teacher_temp,
            prototypes=model.neck.prototypes.weight.detach().clone(),
            decay=[group['weight_decay'] for group in
                   runner.optim_wrapper.optimizer.param_groups],
            weights={name: value.clone() for name, value
                     in model.state_dict().items()}))
        if runner.iter + 1 >= self.stop:
            raise KeyboardInterrupt


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp('images')
    pixels = np.random.RandomState(0)
    for index in range(IMAGES):
        folder = root / f'class{index % 3}'
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels.randint(
            0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / f'{index}.png')
    return root


def runner(repo_root, images, work_dir, stop=math.inf, **changes):
    crop = dict(type='RandomResizedCrop', scale=32)
    cfg = Config.fromfile(repo_root / 'configs/_base_/default_runtime.py')
    cfg.merge_from_dict(
        dict(
            model=MODEL,
            data_preprocessor=dict(
                type='SelfSupDataPreprocessor', mean=[127.5] * 3,
                std=[127.5] * 3, to_rgb=True),
            train_dataloader=dict(
                batch_size=BATCH,
                num_workers=0,
                collate_fn=dict(type='default_collate'),
                dataset=dict(
                    type='CustomDataset',
                    data_root=str(images),
                    with_label=False,
                    pipeline=[
                        dict(type='LoadImageFromFile'),
                        dict(
                            type='MultiView',
                            num_views=[2, 2],
                            transforms=[[crop], [dict(crop, scale=16)]]),
                        dict(type='PackInputs'),
                    ]),
                sampler=dict(type='DefaultSampler', shuffle=True),
                batch_sampler=dict(type='SeededBatchSampler')),
            train_cfg=dict(by_epoch=True, max_epochs=EPOCHS),
            optim_wrapper=dict(
                optimizer=dict(type='AdamW', lr=1e-3, weight_decay=.04),
                paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.),
                clip_grad=dict(max_norm=3.)),
            param_scheduler=[
                dict(
                    type='CosineAnnealingParamScheduler',
                    param_name='weight_decay',
                    eta_min_ratio=10,
                    end=EPOCHS,
                    convert_to_iter_based=True)
            ],
            default_hooks=dict(checkpoint=dict(save_best=None)),
            custom_hooks=[
                dict(
                    type='SelfDistillationHook',
                    momentum=.9,
                    temp_warmup_epochs=2),
                dict(type='WatchHook', stop=stop)
            ],
            randomness=dict(seed=3, deterministic=True),
            work_dir=str(work_dir),
            experiment_name=f'cmd{next(NAMES)}',
            log_level='WARNING'))
    cfg.merge_from_dict(changes)
    return Runner.from_cfg(cfg)


def watched(run):
    return next(hook for hook in run.hooks if isinstance(hook, WatchHook))


@pytest.fixture(scope='module')
def unbroken(repo_root, images, tmp_path_factory):
    run = runner(repo_root, images, tmp_path_factory.mktemp('unbroken'))
    run.train()
    return run


def test_temperature_decay_and_prototypes_follow_the_epochs(unbroken):
    watch = watched(unbroken)
    assert len(watch.steps) == STEPS * EPOCHS
    temps = [watch.steps[epoch * STEPS]['temp'] for epoch in range(EPOCHS)]
    assert temps == pytest.approx([.04, .055, .07])
    for step, kept in enumerate(watch.steps):
        same = torch.equal(kept['prototypes'],
                           watch.first['neck.prototypes.weight'])
        assert same == (step < STEPS), step
        # Where there is no decay (norms, biases), there stays none.
        found = set(kept['decay'])
        assert len(found) == 2 and min(found) == 0
    decays = [max(kept['decay']) for kept in watch.steps]
    assert .04 < decays[0] < .05 < decays[5] < .35 < decays[-1] <= .4


def test_teacher_is_the_moving_average(unbroken):
    watch = watched(unbroken)
    name = 'backbone.layer2.1.conv2.weight'
    teacher = watch.first[f'teacher.{name}']
    for step, kept in enumerate(watch.steps):
        share = step / (STEPS * EPOCHS)
        m = 1 - .1 * (1 + math.cos(math.pi * share)) / 2
        teacher = m * teacher + (1 - m) * kept['weights'][name]
        assert torch.allclose(kept['weights'][f'teacher.{name}'], teacher,
                              atol=1e-6), step
    assert not torch.equal(teacher, kept['weights'][name])


@pytest.mark.parametrize('stop', [2, STEPS, STEPS + 3])
def test_resumed_run_ends_like_the_unbroken_one(repo_root, images, unbroken,
                                                tmp_path, stop):
    with pytest.raises(KeyboardInterrupt):
        runner(repo_root, images, tmp_path, stop=stop,
               **{'default_hooks.checkpoint.by_epoch': False}).train()
    run = runner(repo_root, images, tmp_path, resume=True,
                 **{'default_hooks.checkpoint.by_epoch': False})
    run.train()
    expected = unbroken.model.state_dict()
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_teacher_waits_for_the_optimizer(repo_root, images, tmp_path):
    run = runner(repo_root, images, tmp_path,
                 **{'optim_wrapper.accumulative_counts': 2,
                    'train_cfg.max_epochs': 1})
    run.train()
    watch = watched(run)
    name = 'teacher.neck.layers.0.weight'
    values = [watch.first[name]] + [s['weights'][name] for s in watch.steps]
    moved = [not torch.equal(a, b) for a, b in zip(values, values[1:])]
    assert moved == [False, True, False, True]


def test_csdnet_starts_from_the_teacher(repo_root, unbroken, tmp_path):
    checkpoint = f'{unbroken.work_dir}/epoch_{EPOCHS}.pth'
    for part, prefix in (('teacher', 'teacher.'), ('student', '')):
        out = str(tmp_path / f'{part}.pth')
        count = export_backbone(checkpoint, out, part)
        init = dict(type='Pretrained', checkpoint=out, prefix='backbone.')
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            backbone = MODELS.build(dict(MODEL['backbone'], init_cfg=init))
        backbone.init_weights()
        assert count == len(backbone.state_dict())
        expected = unbroken.model.state_dict()
        for name, value in backbone.state_dict().items():
            assert torch.equal(value, expected[f'{prefix}backbone.{name}'])


def test_export_of_no_pretraining(tmp_path):
    path = tmp_path / 'plain.pth'
    with pytest.raises(FileNotFoundError, match='There is no checkpoint'):
        export_backbone(str(path), 'out.pth')
    torch.save(dict(state_dict={'backbone.w': torch.ones(1)}), path)
    with pytest.raises(ValueError, match='holds no teacher.*--part student'):
        export_backbone(str(path), 'out.pth')
    assert export_backbone(str(path), str(tmp_path / 'out.pth'),
                           'student') == 1


@pytest.mark.parametrize('deviations, entropy, warned', [
    ([.5, .5, .5, .5], .8, None),
    ([.5, .0, .0, .0], 1., 'lower `teacher_temp`'),
    ([.0, .0, .5, .0], .0, None),
    ([.0, .0, .0, .5], .0, 'raise `teacher_temp`'),
])
def test_collapse_is_named_once(deviations, entropy, warned):
    warnings = []

    class Log:
        warning = staticmethod(warnings.append)

    class Run:
        logger = Log
        iter = 0

    hook = CollapseCheckHook(interval=1, window=3)
    for step, deviation in enumerate(deviations):
        Run.iter = step
        hook.after_train_iter(Run, step, outputs=dict(
            teacher_deviation=torch.tensor(deviation),
            teacher_entropy=torch.tensor(entropy)))
    assert len(warnings) == bool(warned)
    assert not warned or warned in warnings[0]


def test_bad_options():
    for options, message in [
        (dict(momentum=1.2), r'lie in \[0, 1\]'),
        (dict(teacher_temp=0), 'must be positive'),
        (dict(temp_warmup_epochs=-1), 'must not be negative'),
        (dict(freeze_prototypes_epochs=-1), 'must not be negative'),
    ]:
        with pytest.raises(ValueError, match=message):
            SelfDistillationHook(**options)
    for options in (dict(min_deviation=0), dict(interval=0), dict(window=0)):
        with pytest.raises(ValueError, match=next(iter(options))):
            CollapseCheckHook(**options)
    with pytest.raises(KeyError, match='logs no `teacher_deviation`'):
        hook = CollapseCheckHook(interval=1)
        hook.after_train_iter(type('Run', (), dict(iter=0)), 0,
                              outputs=dict(loss=1))


def test_hook_wants_cmd(repo_root, images, tmp_path):
    run = runner(repo_root, images, tmp_path)
    run.model = MODELS.build(dict(MODEL['backbone'], type='ResNet'))
    hook = SelfDistillationHook()
    with pytest.raises(TypeError, match='ResNet has no `update_teacher`'):
        hook.before_train(run)
    run.model.update_teacher = print
    with pytest.raises(TypeError, match='the model is ResNet'):
        hook.before_train(run)
