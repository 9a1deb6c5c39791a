import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from noise_images import write_noise_images
from PIL import Image

from csd_mmpretrain.methods.csdnet.figures.ssdp_visualization_hook import (
    SSDPVisualizationHook,
)

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=64),
    dict(type='PackInputs')
]
BACKENDS = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Two images of each of three classes."""
    return write_noise_images(tmp_path_factory.mktemp('data'), 2, size=70)


def make_runner(data, work_dir, hook=None, view=None, neck=None, **train_cfg):
    flip = [*PIPELINE[:2], dict(type='RandomFlip', prob=0.5), PIPELINE[2]]
    dataset = dict(type='CustomDataset', data_root=str(data))
    loader = dict(batch_size=3, num_workers=0)
    hooks = dict(
        checkpoint=dict(type='CheckpointHook', interval=10),
        visualization=dict(type='VisualizationHook', enable=False),
        ssdp=dict(type='SSDPHook', view=view))
    if hook is not None:
        hooks['drawing'] = dict(type='SSDPVisualizationHook', **hook)
    return Runner.from_cfg(
        Config(
            dict(
                work_dir=str(work_dir),
                experiment_name=f'test_{work_dir.name}',
                default_scope='mmpretrain',
                randomness=dict(seed=3),
                log_level='ERROR',
                model=dict(
                    type='ImageClassifier',
                    data_preprocessor=dict(mean=[127.] * 3, std=[60.] * 3),
                    backbone=dict(
                        type='MobileNetV2', widen_factor=0.25, norm_eval=True,
                        frozen_stages=1),
                    neck=neck or dict(type='SSDPNeck', in_channels=1280),
                    head=dict(
                        type='CSDHead',
                        cls_head=dict(
                            type='LinearClsHead',
                            num_classes=3,
                            in_channels=1280),
                        contrast=dict(
                            type='DDLQueueLoss', feat_dim=1280, queue_len=7),
                        distill=dict(type='SSDTLoss'))),
                train_dataloader=dict(
                    loader,
                    dataset=dict(dataset, pipeline=flip),
                    sampler=dict(type='DefaultSampler', shuffle=True)),
                val_dataloader=dict(
                    loader,
                    dataset=dict(dataset, pipeline=PIPELINE),
                    sampler=dict(type='DefaultSampler', shuffle=False)),
                val_evaluator=dict(type='Accuracy'),
                val_cfg=dict(),
                train_cfg=train_cfg or dict(by_epoch=True, max_epochs=3),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
                default_hooks=hooks,
                visualizer=dict(
                    type='UniversalVisualizer', vis_backends=BACKENDS))))


def pictures(work_dir):
    return {path.name: path for path in work_dir.rglob('vis_image/*.png')}


@pytest.fixture(scope='module')
def drawn(data, tmp_path_factory):
    """A run with the hook, of a view that draws random numbers."""
    work_dir = tmp_path_factory.mktemp('drawn')
    runner = make_runner(data, work_dir, dict(num_images=2, interval=2),
                         dict(type='EraseShuffleView'))
    runner.train()
    return work_dir, runner.model


def test_the_run_ends_as_one_without_the_hook(drawn, data, tmp_path):
    _, model = drawn
    plain = make_runner(data, tmp_path, None, dict(type='EraseShuffleView'))
    plain.train()
    expected = plain.model.state_dict()
    assert (expected['head.contrast.queue.labels'] >= 0).all()
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_local_and_tensorboard_back_ends(drawn):
    from tensorboard.backend.event_processing.event_accumulator import (
        EventAccumulator,
    )
    work_dir, _ = drawn
    found = pictures(work_dir)
    assert sorted(found) == ['ssdp_0.png', 'ssdp_2.png']
    first, last = (np.asarray(Image.open(path)) for _, path in
                   sorted(found.items()))
    assert first.shape == last.shape and (first != last).any()
    events, = {path.parent for path in work_dir.rglob('events.out*')}
    events = EventAccumulator(str(events), size_guidance=dict(images=0))
    events.Reload()
    assert [event.step for event in events.Images('ssdp')] == [0, 2]


def test_modes_iterations_and_frozen_parts(data, tmp_path):
    runner = make_runner(
        data, tmp_path, dict(mode='all', num_images=1, interval=2),
        by_epoch=False, max_iters=3)
    hook = next(hook for hook in runner.hooks
                if isinstance(hook, SSDPVisualizationHook))
    kept = []
    look = hook._look

    def watch(runner, step):
        before = [m.training for m in runner.model.modules()]
        look(runner, step)
        kept.append(before == [m.training for m in runner.model.modules()])

    hook._look = watch
    runner.train()
    assert kept == [True, True]
    found = pictures(tmp_path)
    assert sorted(found) == ['ssdp_0.png', 'ssdp_2.png']
    width, height = Image.open(found['ssdp_0.png']).size
    assert width > 4 * height  # eight columns


def test_averages_are_drawn(data, tmp_path, monkeypatch):
    """As a validation judges them."""
    seen = []

    def watch(model, *_):
        seen.append([p.clone() for p in model.parameters()])
        raise KeyboardInterrupt

    monkeypatch.setattr(
        'csd_mmpretrain.methods.csdnet.figures.ssdp_visualization_hook.'
        'ssdp_rows', watch)
    runner = make_runner(data, tmp_path, {}, by_epoch=False, max_iters=2)
    hook = EMAHook(momentum=0.1)
    runner.register_hook(hook)
    hook.before_run(runner)
    hook.ema_model.steps += 1
    for average in hook.ema_model.module.parameters():
        average.fill_(0.5)
    before = [p.clone() for p in runner.model.parameters()]
    with pytest.raises(KeyboardInterrupt):
        SSDPVisualizationHook().before_train(runner)
    assert all((p == 0.5).all() for p in seen[0])
    assert all(map(torch.equal, runner.model.parameters(), before))


def test_other_ranks_draw_nothing(data, tmp_path):
    runner = make_runner(data, tmp_path, {})
    runner._rank = 1
    hook = SSDPVisualizationHook()
    hook.before_train(runner)
    hook.after_train_epoch(runner)
    assert not pictures(tmp_path)


@pytest.mark.parametrize('options', [
    dict(num_images=0),
    dict(interval=-1),
    dict(dpi=0),
    dict(mode='keap'),
])
def test_bad_options(options):
    name, value = next(iter(options.items()))
    with pytest.raises(ValueError, match=f'{name}={value!r}'):
        SSDPVisualizationHook(**options)


def test_a_neck_without_a_pattern_map(data, tmp_path):
    runner = make_runner(data, tmp_path, {}, dict(type='EraseShuffleView'),
                         dict(type='GlobalAveragePooling'))
    SSDPVisualizationHook().before_train(runner)
    assert pictures(tmp_path)
    with pytest.raises(TypeError, match='GlobalAveragePooling'):
        SSDPVisualizationHook(mode='keep').before_train(runner)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setattr(
        'csd_mmpretrain.methods.csdnet.figures.ssdp_visualization_hook.find_spec',
        lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'csd_mmpretrain\[vis\]'):
        SSDPVisualizationHook()
