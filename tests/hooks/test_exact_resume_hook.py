"""An interrupted and resumed run of CSDNet against an unbroken one."""
import itertools
import random
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from PIL import Image

from csd_mmpretrain.checkpoints.resume_changes import describe_changes
from csd_mmpretrain.hooks.exact_resume_hook import (
    ExactResumeHook,
    _begin_of_epoch,
)

CLASSES, IMAGES, BATCH, EPOCHS = 5, 22, 5, 3
STEPS = -(-IMAGES // BATCH)
NAMES = itertools.count()


@HOOKS.register_module()
class InterruptHook(Hook):
    """Stop like a crash, when everything of a step is done."""
    priority = 'LOWEST'

    def __init__(self, step, point='after_train_iter'):
        self.step = step
        setattr(self, point, self.stop)

    def stop(self, runner, *_, **__):
        if runner.iter >= self.step:
            raise KeyboardInterrupt


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp('images')
    pixels = np.random.RandomState(0)
    for index in range(IMAGES):
        folder = root / f'class{index % CLASSES}'
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels.randint(
            0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / f'{index}.png')
    return root


def config(repo_root, images, work_dir, interrupt=None, **changes):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', scale=32),
        dict(type='ColorJitter', brightness=.3, backend='cv2'),
        dict(type='PackInputs')
    ]
    dataset = dict(type='CustomDataset', data_root=str(images))
    loader = dict(
        batch_size=BATCH,
        num_workers=0,
        collate_fn=dict(type='default_collate'))
    head = dict(
        type='CSDHead',
        cls_head=dict(type='LinearClsHead', num_classes=5, in_channels=64),
        contrast=dict(type='DDLQueueLoss', feat_dim=64, queue_len=17),
        distill=dict(type='SSDTLoss'))
    cfg = Config.fromfile(repo_root / 'configs/_base_/default_runtime.py')
    cfg.merge_from_dict(
        dict(
            model=dict(
                type='ImageClassifier',
                backbone=dict(
                    type='ResNet', depth=18, base_channels=8, stem_channels=8,
                    drop_path_rate=.3),
                neck=dict(type='SSDPNeck', in_channels=64),
                head=head),
            data_preprocessor=dict(num_classes=CLASSES),
            train_dataloader=dict(
                dataset=dict(**dataset, pipeline=pipeline),
                sampler=dict(type='DefaultSampler', shuffle=True),
                batch_sampler=dict(type='SeededBatchSampler'),
                **loader),
            val_dataloader=dict(
                dataset=dict(**dataset, pipeline=[pipeline[0], pipeline[-1]]),
                sampler=dict(type='DefaultSampler', shuffle=False),
                **loader),
            val_evaluator=dict(type='Accuracy'),
            train_cfg=dict(by_epoch=True, max_epochs=EPOCHS, val_interval=1),
            val_cfg=dict(),
            optim_wrapper=dict(
                optimizer=dict(type='AdamW', lr=1e-3),
                clip_grad=dict(max_norm=5)),
            param_scheduler=[
                dict(type='LinearLR', by_epoch=False, end=4),
                dict(type='CosineAnnealingLR', T_max=3, begin=1, end=3),
            ],
            default_hooks=dict(
                # Erases and shuffles by torch's generator of the process.
                ssdp=dict(type='SSDPHook', view=dict(type='EraseShuffleView')),
                warmup=dict(type='LossWarmupHook', epochs=2),
                logger=dict(interval=1)),
            custom_hooks=[dict(type='EMAHook', momentum=.1)],
            randomness=dict(seed=3, deterministic=True),
            work_dir=str(work_dir),
            experiment_name=f'exact{next(NAMES)}',
            log_level='WARNING'))
    cfg.merge_from_dict(changes)
    if interrupt:
        cfg.custom_hooks += [dict(type='InterruptHook', **interrupt)]
    return cfg


def result(work_dir, name):
    """All that a run leaves behind, apart from clock times."""
    content = torch.load(work_dir / name)
    hub = content['message_hub']
    hub['log_scalars'] = {
        key: value for key, value in hub['log_scalars'].items()
        if 'time' not in key and 'memory' not in key
    }
    names = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers')
    found = {name: content[name] for name in names}
    return dict(found, scalars=hub['log_scalars'],
                best=hub['runtime_info']['best_score'],
                summary=hub['runtime_info'].get('run_summary'))


def differences(ours, theirs, path=''):
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), path
        return [
            d for key in ours
            for d in differences(ours[key], theirs[key], f'{path}.{key}')
        ]
    if isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs), path
        return [
            d for i, pair in enumerate(zip(ours, theirs))
            for d in differences(*pair, f'{path}.{i}')
        ]
    if isinstance(ours, torch.Tensor):
        same = ours.dtype == theirs.dtype and torch.equal(ours, theirs)
    else:
        same = ours == theirs
    return [] if same else [path]


def after_step(step):
    return dict(step=step - 1)


def in_validation(epoch):
    return dict(step=epoch * STEPS, point='before_val')


SAVING = dict(
    epochs=({}, f'epoch_{EPOCHS}.pth'),
    steps=({
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': 2
    }, f'iter_{EPOCHS * STEPS}.pth'))


@pytest.fixture(scope='module')
def unbroken(repo_root, images, tmp_path_factory):
    """The result of an unbroken run, for both ways of saving."""
    results = {}
    for saving, (changes, last) in SAVING.items():
        work_dir = tmp_path_factory.mktemp(saving)
        Runner.from_cfg(config(repo_root, images, work_dir,
                               **changes)).train()
        results[saving] = result(work_dir, last)
    return results


@pytest.mark.parametrize('saving, stops', [
    ('epochs', [in_validation(1)]),
    ('epochs', [after_step(STEPS + 3), after_step(2 * STEPS + 1)]),
    ('epochs', [in_validation(EPOCHS)]),
    ('steps', [after_step(4)]),  # a step that is saved
    ('steps', [after_step(step) for step in (3, 5, 9, 13)]),
    ('steps', [after_step(2 * STEPS)]),  # the end of an epoch
    ('steps', [in_validation(2)]),
])
def test_resume_ends_like_the_unbroken_run(saving, stops, repo_root, images,
                                           unbroken, tmp_path):
    changes, last = SAVING[saving]
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            Runner.from_cfg(
                config(
                    repo_root,
                    images,
                    tmp_path,
                    interrupt=stop,
                    resume=True,
                    **changes)).train()
    # Workers load the rest.
    Runner.from_cfg(
        config(
            repo_root,
            images,
            tmp_path,
            resume=True,
            **changes, **{'train_dataloader.num_workers': 2})).train()
    found, expected = result(tmp_path, last), unbroken[saving]
    assert len(found['state_dict']) > 100
    assert any('queue' in name for name in found['state_dict'])
    assert not differences(found, expected)


def resumed_runner(repo_root, images, work_dir, stop, saving, **changes):
    """A run that stopped, ready to go on with changes."""
    saved, _ = SAVING[saving]
    with pytest.raises(KeyboardInterrupt):
        Runner.from_cfg(
            config(repo_root, images, work_dir, stop, **saved)).train()
    return Runner.from_cfg(
        config(repo_root, images, work_dir, resume=True,
               **{**saved, **changes}))


@pytest.mark.parametrize('changes, message', [
    ({'train_dataloader.batch_size': 4}, 'after 3 steps of an epoch, which '
     'had 5 steps of 5 images, 22 in all, but now has 6 steps of 4 images, 22 '
     'in all. Resume with the batch size'),
    ({'train_dataloader.dataset.indices': 21}, '5 steps of 5 images, 22 in '
     'all, but now has 5 steps of 5 images, 21 in all'),
    ({'train_dataloader.batch_sampler': None},
     'after 3 of 5 steps of an epoch, which would be seen again. Add '
     'train_dataloader.batch_sampler='),
])
def test_resume_in_an_epoch_needs_the_same_steps(changes, message, repo_root,
                                                 images, tmp_path):
    runner = resumed_runner(repo_root, images, tmp_path, after_step(STEPS + 3),
                            'steps',
                            **changes)
    with pytest.raises(ValueError, match=message):
        runner.train()


def test_resume_between_epochs_with_another_batch_size(repo_root, images,
                                                       tmp_path):
    """Twice: the first epoch had other steps than the second."""
    larger = {'train_dataloader.batch_size': 8}
    with pytest.raises(KeyboardInterrupt):
        Runner.from_cfg(
            config(repo_root, images, tmp_path, after_step(STEPS + 1))).train()
    with pytest.raises(KeyboardInterrupt):
        Runner.from_cfg(
            config(repo_root, images, tmp_path, after_step(STEPS + 3 + 2),
                   resume=True, **larger)).train()
    runner = Runner.from_cfg(
        config(repo_root, images, tmp_path, resume=True, **larger))
    runner.train()
    assert runner.iter == STEPS + 2 * 3


@pytest.mark.parametrize('epoch, step, state, begin', [
    (0, 0, {}, 0),
    (0, 3, {}, 0),
    (2, 10, {}, 10),
    (1, 8, {}, 5),
    (2, 13, {}, 10),
    (2, 16, {}, 16),  # two epochs of eight steps each
    (2, 4, {}, 4),
    (2, 13, dict(epoch=2, begin=11), 11),
    (2, 13, dict(epoch=1, begin=8), 13),
])
def test_where_the_epoch_began(epoch, step, state, begin):
    runner = SimpleNamespace(epoch=epoch, iter=step)
    assert _begin_of_epoch(runner, dict(state, steps=5)) == begin


def test_resume_with_the_drawn_seed(repo_root, images, tmp_path):
    """A run without a seed draws one, and a resume takes it over."""
    seeds = {'randomness.seed': None}
    first = Runner.from_cfg(
        config(repo_root, images, tmp_path, after_step(STEPS + 1), **seeds))
    with pytest.raises(KeyboardInterrupt):
        first.train()
    second = Runner.from_cfg(
        config(repo_root, images, tmp_path, resume=True, **seeds))
    assert second.seed != first.seed
    second.train()
    sampler = second.train_dataloader.batch_sampler.sampler
    assert second.seed == sampler.seed == first.seed


def test_resume_makes_up_for_a_validation(repo_root, images, tmp_path):
    runner = resumed_runner(repo_root, images, tmp_path, in_validation(1),
                            'epochs')
    assert not list(tmp_path.glob('best_*'))
    runner.train()
    assert len(runner.message_hub.get_scalar('val/accuracy/top1').data[0]) == 3


def test_iterations_make_up_for_a_validation(repo_root, images, tmp_path):
    """Of a step that was saved; what was validated is left alone."""
    stops = [dict(step=2, point='before_val'), after_step(4), None]
    for stop in stops:
        cfg = config(repo_root, images, tmp_path, stop, resume=True,
                     **SAVING['steps'][0])
        cfg.train_cfg = dict(by_epoch=False, max_iters=4, val_interval=2)
        cfg.param_scheduler = []
        cfg.log_processor = dict(by_epoch=False)
        cfg.default_hooks.logger.log_metric_by_epoch = False
        runner = Runner.from_cfg(cfg)
        with pytest.raises(KeyboardInterrupt) if stop else nullcontext():
            runner.train()
    validations = runner.message_hub.get_scalar('val/accuracy/top1').data[0]
    assert len(validations) == 2
    hook = next(h for h in runner.hooks if isinstance(h, ExactResumeHook))
    assert not hook._misses_validation(runner)


def test_steps_draw_the_same_whatever_happens_between():
    hook = ExactResumeHook()
    drawn = {}
    for between in (0, 5):
        for rank, step in itertools.product((0, 1), (0, 1, 2)):
            runner = SimpleNamespace(seed=1, rank=rank, iter=step)
            hook.before_train_iter(runner, step)
            numbers = (random.random(), np.random.rand(), torch.rand(1).item())
            assert drawn.setdefault((rank, step), numbers) == numbers
            torch.rand(between)
    assert len({n for numbers in drawn.values() for n in numbers}) == 18


@pytest.mark.parametrize('changes, names', [
    ({}, None),
    ({'train_dataloader.num_workers': 1, 'default_hooks.logger.interval': 2,
      'optim_wrapper.clip_grad.max_norm': 4}, None),
    ({'optim_wrapper.optimizer.lr': .1, 'train_cfg.max_epochs': 5,
      'param_scheduler': [dict(type='ExponentialLR', gamma=.9)]},
     'optim_wrapper.optimizer.lr, param_scheduler, train_cfg.max_epochs'),
    ({'train_dataloader.batch_size': 8}, 'steps per epoch (3, not 5)'),
])
def test_resume_tells_what_has_no_effect(changes, names, repo_root, images,
                                         tmp_path, monkeypatch):
    """In one line; a warm-up of six steps is not over after the first five."""
    schedule = [dict(type='LinearLR', by_epoch=False, end=6)]
    changes = {'param_scheduler': schedule, **changes}
    with pytest.raises(KeyboardInterrupt):
        Runner.from_cfg(
            config(repo_root, images, tmp_path, after_step(STEPS + 1),
                   param_scheduler=schedule)).train()
    said = []
    monkeypatch.setattr(MMLogger, 'warning',
                        lambda self, text, *_: said.append(text))
    runner = Runner.from_cfg(
        config(repo_root, images, tmp_path, dict(step=0), resume=True,
               **changes))
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    found = [line for text in said for line in text.splitlines()
             if 'a resume keeps' in line]
    assert len(found) == bool(names)
    if names:
        assert f'this run has other {names}: to train with' in found[0]
        assert 'load_from without --resume' in found[0]
        assert runner.optim_wrapper.get_lr()['lr'][0] < 2e-3


def test_schedules_that_are_over_or_not_there():
    """Another length changes nothing of them, and no stored text is run."""
    cfg = Config(dict(train_cfg=dict(max_epochs=9)))
    over = dict(by_epoch=False, last_step=4, end=4)
    meta = dict(cfg='train_cfg = dict(max_epochs=3)\nraise SystemExit')
    checkpoint = dict(meta=meta, param_schedulers=[over])
    assert describe_changes(dict(meta=meta), cfg, (5, 6)) is None
    assert 'other train_cfg.max_epochs:' in describe_changes(
        checkpoint, cfg, (5, 6))
    several = dict(a=[over], b=[dict(over, last_step=3)])
    assert 'max_epochs, steps per epoch (6, not 5):' in describe_changes(
        dict(meta=meta, param_schedulers=several), cfg, (5, 6))
    for text in ('', None, 'not a = config', 'a = "\0"'):
        assert describe_changes(dict(meta=dict(cfg=text)), cfg, None) is None


def test_warns_of_half_accumulated_gradients(repo_root, images, tmp_path,
                                             monkeypatch):
    said = []
    monkeypatch.setattr(MMLogger, 'warning',
                        lambda self, text, *_: said.append(text))
    changes = {
        **SAVING['steps'][0], 'optim_wrapper.accumulative_counts': 2
    }
    for interval, warns in ((2, False), (3, True)):
        changes['default_hooks.checkpoint.interval'] = interval
        with pytest.raises(KeyboardInterrupt):
            Runner.from_cfg(
                config(repo_root, images, tmp_path / str(interval),
                       after_step(4), **changes)).train()
        assert any('between two updates' in text for text in said) == warns
