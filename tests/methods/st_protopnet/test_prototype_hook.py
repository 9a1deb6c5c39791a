"""Stages, pushes and resumes of whole trainings."""
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from noise_images import write_noise_images
from prototype_runs import BATCH, CLASSES, EPOCHS, SCHEDULE, config, runner
from torch.testing import assert_close

from csd_mmpretrain.methods.st_protopnet import PrototypeHook
from csd_mmpretrain.methods.st_protopnet.prototype_hook import (
    JOINT,
    LAST_LAYER,
    RECORD,
    WARM,
)
from csd_mmpretrain.methods.st_protopnet.push import (
    find_patches,
    write_prototypes,
)
from csd_mmpretrain.methods.st_protopnet.st_protopnet_head import BRANCHES

PER_CLASS = 5
STEPS = -(-PER_CLASS * CLASSES // BATCH)


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_noise_images(tmp_path_factory.mktemp('images'), PER_CLASS,
                              classes=CLASSES)


def state_of(runner):
    return {name: value.clone()
            for name, value in runner.model.state_dict().items()}


@pytest.fixture(scope='module')
def unbroken(images, tmp_path_factory):
    """A whole training, and its weights before and after each epoch."""
    work_dir, states, rates = tmp_path_factory.mktemp('run'), [], []

    def before(runner):
        states.append([state_of(runner)])

    def after(runner):
        states[-1].append(state_of(runner))

    def step(runner, *_, **__):
        head = runner.model.head
        for _, branch in head.branches():
            assert_close(branch.prototypes.norm(dim=1),
                         torch.ones(2 * CLASSES))
        rates.append([group['lr'] for weight in (
            head.support.last_layer.weight, runner.model.backbone.conv1.weight
        ) for group in runner.optim_wrapper.param_groups
            if group['params'][0] is weight])

    # The hook pushes before `after_train_epoch` of this one is called.
    run = runner(
        images, work_dir, ('before_train_epoch', before),
        ('after_train_epoch', after), ('after_train_iter', step))
    run.train()
    return SimpleNamespace(work_dir=work_dir, states=states, rates=rates,
                           runner=run)


def hook_of(runner):
    return next(h for h in runner.hooks if isinstance(h, PrototypeHook))


def moved(states):
    old, new = states
    return {name for name in old if not torch.equal(old[name], new[name])}


def test_each_stage_moves_its_own_parts(unbroken):
    for epoch, states in enumerate(unbroken.states):
        stage = PrototypeHook(**SCHEDULE).stage(epoch)
        names = moved(states) - {'head.steps'}
        backbone = {name for name in names if name.startswith('backbone')}
        last = {name for name in names if 'last_layer' in name}
        if stage == WARM:
            # Batch norm's statistics too.
            assert not backbone and not last and len(names) == 2 * (4 + 1)
        if stage == JOINT:
            assert any('running_mean' in name for name in backbone)
            assert not last and len(names - backbone) == 10
        if stage == LAST_LAYER:
            assert names == {f'head.{name}.last_layer.weight'
                             for name in BRANCHES}
    head = unbroken.runner.model.head
    assert int(head.steps) == head._steps == EPOCHS * STEPS


def test_the_last_layer_keeps_its_rate(unbroken):
    for step, (last_layer, backbone) in enumerate(unbroken.rates):
        epoch = step // STEPS
        assert backbone == pytest.approx(1e-3 if epoch < 2 else 2e-4)
        if PrototypeHook(**SCHEDULE).stage(epoch) == LAST_LAYER:
            assert last_layer == 2e-3


def test_prototypes_are_cells_of_the_named_photos(unbroken, images):
    """And a second push without training changes nothing."""
    run = unbroken.runner
    model, hook = run.model, hook_of(run)
    content = torch.load(unbroken.work_dir / f'epoch_{EPOCHS}.pth')
    sources = content['meta'][RECORD]['sources']
    assert sources == hook.sources
    batch = [hook._photos.loader.dataset[i]
             for i in range(PER_CLASS * CLASSES)]
    data = model.eval().data_preprocessor(dict(
        inputs=torch.stack([item['inputs'] for item in batch]),
        data_samples=[item['data_samples'] for item in batch]))
    with torch.no_grad():
        maps = model.head.branch_maps(model.extract_feat(data['inputs']))
    for name, branch in model.head.branches():
        source = sources[name]
        for j, prototype in enumerate(branch.prototypes):
            y, x = source['cell'][j]
            cell = maps[name][source['image'][j], :, y, x]
            assert_close(torch.cosine_similarity(cell, prototype, 0),
                         torch.ones(()))
            label = j // 2
            assert source['file'][j].startswith(f'class{label}/')
            assert (images / source['file'][j]).is_file()
            assert int(batch[source['image'][j]]['data_samples'].gt_label) == (
                label)
    before = state_of(run)
    write_prototypes(model, find_patches(model, hook._photos.loader,
                                         hook._labels))
    assert not moved([before, state_of(run)])


def test_accuracies_are_tabulated(unbroken):
    lines = (unbroken.work_dir / 'prototypes.csv').read_text().splitlines()
    assert lines[0].startswith('epoch,when,"trivial, %","support, %"')
    rows = [line.split(',') for line in lines[1:]]
    assert [row[:2] for row in rows] == [
        [str(epoch), when] for epoch, when in (
            (2, 'before push'), (2, 'after push'), (3, 'after tuning'),
            (4, 'before push'), (4, 'after push'), (5, 'after tuning'))]
    hub = unbroken.runner.message_hub
    last = hub.get_scalar('val/branches/both').current()
    assert float(rows[-1][4]) == pytest.approx(last, abs=.01)
    assert last == pytest.approx(
        hub.get_scalar('val/accuracy/top1').current(), rel=1e-6)
    assert all(row[5] == '' for row in rows[::3])
    assert all(0 < int(row[5]) <= 2 * CLASSES for row in rows[1::3])


def compared(path):
    content = torch.load(path)
    return {key: content[key] for key in ('state_dict', 'optimizer',
                                          'param_schedulers')}, {
        RECORD: content['meta'][RECORD]}


def differences(ours, theirs, path=''):
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), path
        return [d for key in ours for d in differences(
            ours[key], theirs[key], f'{path}.{key}')]
    if isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs), path
        return [d for i, pair in enumerate(zip(ours, theirs))
                for d in differences(*pair, f'{path}.{i}')]
    same = (torch.equal(ours, theirs) if isinstance(ours, torch.Tensor)
            else ours == theirs)
    return [] if same else [path]


def test_resumes_end_like_the_unbroken_run(unbroken, images, tmp_path):
    """Stopped in each stage, in the middle of epochs and after a push."""
    stops = [2, STEPS + 3, 2 * STEPS, 2 * STEPS + 1, 4 * STEPS,
             4 * STEPS + 3]

    def stop(runner, *_, **__):
        if runner.iter + 1 == stops[0]:
            raise KeyboardInterrupt

    saving = {'default_hooks.checkpoint.by_epoch': False,
              'default_hooks.checkpoint.interval': 1, 'resume': True}
    while stops:
        with pytest.raises(KeyboardInterrupt):
            runner(images, tmp_path, ('after_train_iter', stop),
                   **saving).train()
        stops.pop(0)
    run = runner(images, tmp_path, **saving)
    run.train()
    run.save_checkpoint(str(tmp_path), 'last.pth',
                        meta=dict(epoch=EPOCHS, iter=EPOCHS * STEPS))
    for ours, theirs in zip(
            compared(tmp_path / 'last.pth'),
            compared(unbroken.work_dir / f'epoch_{EPOCHS}.pth')):
        assert not differences(ours, theirs)


def test_a_stop_between_push_and_save_repeats_the_push(unbroken, images,
                                                       tmp_path):
    def stop(runner):
        if runner.epoch == 1 and not resumed:
            raise KeyboardInterrupt

    resumed = []
    with pytest.raises(KeyboardInterrupt):
        runner(images, tmp_path, ('after_train_epoch', stop)).train()
    resumed.append(True)
    runner(images, tmp_path, resume=True).train()
    for ours, theirs in zip(*(
            compared(folder / f'epoch_{EPOCHS}.pth')
            for folder in (tmp_path, unbroken.work_dir))):
        assert not differences(ours, theirs)


@pytest.mark.parametrize('changes, error, message', [
    ({'train_cfg.max_epochs': 6}, ValueError, 'set train_cfg.max_epochs=5'),
    ({'train_cfg': dict(_delete_=True, by_epoch=False, max_iters=5),
      'log_processor': dict(by_epoch=False), 'param_scheduler': [],
      'default_hooks.logger.log_metric_by_epoch': False}, ValueError,
     'the training goes by iterations'),
    ({'model.head.in_channels': 32}, ValueError, 'Set in_channels=64'),
    ({'model.head.num_classes': CLASSES + 1,
      'default_hooks.checkpoint_match': None}, ValueError,
     r'1 of 4 classes have no training image \(3;'),
    ({'model.neck': dict(type='GlobalAveragePooling')}, ValueError,
     'a feature map is needed'),
    ({'default_hooks.ema': dict(type='EMAHook')}, ValueError,
     'EMAHook averages the prototypes'),
    ({'model.head': dict(_delete_=True, type='LinearClsHead', num_classes=3,
                         in_channels=64)}, TypeError,
     'the head is LinearClsHead'),
    ({'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None,
      'test_dataloader': None, 'test_cfg': None, 'test_evaluator': None},
     ValueError, 'no test_dataloader'),
])
def test_refused_before_the_first_step(changes, error, message, images,
                                       tmp_path):
    cfg = config(images, tmp_path)
    changes = deepcopy(changes)
    for name in list(changes):
        if changes[name] is None:
            parent, _, key = name.rpartition('.')
            (cfg.get(parent) if parent else cfg).pop(key, None)
            del changes[name]
    cfg.merge_from_dict(changes)
    run = Runner.from_cfg(cfg)
    with pytest.raises(error, match=message):
        run.train()
    assert run.iter == 0


def test_a_wrapper_that_waits_for_all_gradients_is_refused(images, tmp_path):
    run = runner(images, tmp_path)
    run.model.find_unused_parameters = False  # as DDP has it
    with pytest.raises(ValueError, match='Write `find_unused_parameters = '):
        run.train()


def test_resume_with_other_prototypes_is_refused(unbroken, images, tmp_path):
    for changes, message in (
            ({'model.head.num_prototypes': 3}, 'head.trivial.prototypes '
             r'\(6, 8\) for \(9, 8\)'),
            ({'model.head.num_classes': 2}, 'head.trivial.prototypes '
             r'\(6, 8\) for \(4, 8\)')):
        run = runner(images, tmp_path, resume=True,
                     load_from=str(unbroken.work_dir / 'epoch_1.pth'),
                     **changes)
        with pytest.raises(ValueError, match=message):
            run.train()


def test_a_map_of_one_cell_is_warned_of(images, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(MMLogger, 'warning',
                        lambda self, text, *_: said.append(text))

    def stop(*_, **__):
        raise KeyboardInterrupt

    run = runner(images, tmp_path, ('before_train_iter', stop), **{
        'test_dataloader.dataset.pipeline.1.scale': 32})
    with pytest.raises(KeyboardInterrupt):
        run.train()
    assert any('the map has one cell' in text for text in said)


@pytest.mark.parametrize('settings', [
    dict(push_epochs=()),
    dict(push_epochs=(3, ), warm_epochs=4),
    dict(push_epochs=(5, 7), tune_epochs=3, warm_epochs=1),
    dict(tune_epochs=0),
    dict(warm_epochs=-1),
])
def test_impossible_schedules(settings):
    with pytest.raises(ValueError, match='Give at least one push'):
        PrototypeHook(**settings)


@pytest.mark.parametrize('name, warm, pushes, tune', [
    ('full_cub', 10, (101, 111), 10), ('cropped', 5, (21, ), 10)])
def test_the_published_stages(oracle, name, warm, pushes, tune):
    """Published epochs count no tuning; those after a push move on by it."""
    numbers = oracle('st_protopnet/schedules')
    rates = numbers[f'{name}_backbone_lr']
    assert tuple(numbers[f'{name}_push_epochs'] + 1) == pushes
    ours = [push + i * tune for i, push in enumerate((*pushes, len(rates)))]
    hook = PrototypeHook(warm, ours, tune)
    stages = [hook.stage(epoch) for epoch in range(ours[-1] + tune)]
    assert stages.count(LAST_LAYER) == tune * len(ours)
    trained = [stage for stage in stages if stage != LAST_LAYER]
    assert [stage == WARM for stage in trained] == np.isnan(rates).tolist()


def test_frozen_parts_stay_frozen_in_all_stages(images, tmp_path):
    """And one prototype of a class is enough."""
    states = []
    run = runner(
        images, tmp_path,
        ('before_train_epoch', lambda runner: states.append(state_of(runner))),
        **{'default_hooks.frozen_parts': dict(type='FrozenPartsHook'),
           'default_hooks.prototypes.push_epochs': (2, ),
           'train_cfg.max_epochs': 3, 'model.head.num_prototypes': 1})
    run.train()
    names = moved([states[0], state_of(run)])
    assert names and not any(name.startswith('backbone') for name in names)
