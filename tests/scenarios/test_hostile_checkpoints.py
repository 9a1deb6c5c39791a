"""Checkpoints that are dangerous, broken, or not those of this run."""
import argparse
import contextlib
import os
import pickle
import time
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.checkpoints.pretrained import read_names
from csd_mmpretrain.hooks.checkpoint_match_hook import (
    CheckpointMatchHook,
    _load,
)
from csd_mmpretrain.runtime.launch import end_processes

CLASSES = ('ash', 'beech', 'cherry')


class Images(list):
    """Six images of noise, two of each class."""

    def __init__(self, classes):
        super().__init__(
            dict(inputs=torch.randint(0, 255, (3, 32, 32), dtype=torch.uint8),
                 data_samples=DataSample().set_gt_label(i % 3))
            for i in range(6))
        self.metainfo = dict(classes=classes)


def model_of(num_classes=3, queue_len=8, width=0.25, head='CSDHead', ddl=True):
    cls_head = dict(type='LinearClsHead', num_classes=num_classes,
                    in_channels=1280)
    loss = dict(type='DDLQueueLoss', feat_dim=1280, queue_len=queue_len)
    csd_head = dict(type='CSDHead', cls_head=cls_head,
                    contrast=loss if ddl else None)
    return dict(
        type='ImageClassifier',
        backbone=dict(type='MobileNetV2', widen_factor=width),
        neck=dict(type='GlobalAveragePooling'),
        head=csd_head if head == 'CSDHead' else cls_head)


def make_runner(folder, stage, checkpoint=None, classes=CLASSES, ema=False,
                tta=False, **model):
    loader = dict(batch_size=3, dataset=Images(classes), num_workers=0,
                  sampler=dict(type='DefaultSampler', shuffle=False))
    model = model_of(**model)
    parts = dict(
        test_dataloader=loader, test_cfg=dict(),
        test_evaluator=dict(type='Accuracy'))
    if stage != 'test':
        parts = dict(
            train_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)))
    if tta:
        model = dict(type='AverageClsScoreTTA', module=model)
    runner = Runner(
        model=model, work_dir=str(folder), default_scope='mmpretrain',
        load_from=checkpoint and str(checkpoint), resume=stage == 'resume',
        custom_hooks=[dict(type='EMAHook')] if ema else [],
        default_hooks=dict(
            checkpoint_match=dict(type='CheckpointMatchHook'),
            plain_checkpoint=dict(type='PlainCheckpointHook')),
        experiment_name=f'hostile_{time.time_ns()}', **parts)
    runner.warnings = []
    runner.logger.warning = runner.warnings.append
    return runner


@pytest.fixture(scope='module', params=[False, True], ids=['plain', 'ema'])
def trained(tmp_path_factory, request):
    """A checkpoint, without and with averaged weights."""
    folder = tmp_path_factory.mktemp('trained')
    make_runner(folder, 'train', ema=request.param).train()
    return SimpleNamespace(ema=request.param, path=folder / 'epoch_1.pth')


@pytest.fixture
def try_out(trained, tmp_path):
    """Change the checkpoint, start a run from it, and hear what it says."""

    def start(stage, change=None, **options):
        content = torch.load(trained.path, weights_only=True)
        if change is not None:
            content = change(content) or content
        path = tmp_path / 'changed.pth'
        torch.save(content, path)
        options.setdefault('ema', trained.ema)
        runner = make_runner(tmp_path, stage, path, **options)
        try:
            getattr(runner, 'test' if stage == 'test' else 'train')()
        except ValueError as error:
            assert str(path) in str(error)
            assert runner.warnings == []
            return 'error', str(error)
        match = [text for text in runner.warnings
                 if text.startswith('The checkpoint')]
        assert len(match) < 2, 'one warning tells all'
        return ('warning', match[0]) if match else ('fine', '')

    return start


STAGES = ('test', 'resume', 'load')


@pytest.mark.parametrize('stage', STAGES)
def test_hostile_free_checkpoint(try_out, stage):
    assert try_out(stage) == ('fine', '')


def drop(part):

    def change(content):
        state = content['state_dict']
        for name in [name for name in state if part in name]:
            del state[name]
            content.get('ema_state_dict', {}).pop(f'module.{name}', None)

    return change


@pytest.mark.parametrize('stage, expected', [
    ('test', 'error'), ('resume', 'error'), ('load', 'warning')])
def test_hostile_missing_tensors(try_out, stage, expected):
    kind, text = try_out(stage, drop('layer1'))
    assert kind == expected
    assert 'tensors are missing: backbone.layer1.0.conv' in text
    assert ', ...' in text and len(text) < 900


@pytest.mark.parametrize('stage, expected', [
    ('test', 'error'), ('resume', 'error'), ('load', 'warning')])
def test_hostile_class_count(try_out, stage, expected):
    """The head's weight and bias differ, in one sentence."""
    kind, text = try_out(stage, num_classes=4,
                         classes=CLASSES + ('dogwood', ))
    assert kind == expected
    assert 'the checkpoint knows 3 classes, the model 4' in text
    assert 'head.cls_head.fc.weight (3, 1280) for (4, 1280)' in text


@pytest.mark.parametrize('stage', STAGES)
def test_hostile_shapes(try_out, stage):
    kind, text = try_out(stage, width=0.5)
    assert kind == 'error'
    assert 'tensors have another shape: backbone.conv1.conv.weight (8, 3, 3, '\
        '3) for (16, 3, 3, 3)' in text
    assert 'classes' not in text


def test_hostile_one_tensor_of_the_backbone(try_out):

    def change(content):
        drop('backbone.')(content)
        content['state_dict']['backbone.conv1.conv.weight'] = torch.ones(
            8, 3, 3, 3)

    kind, text = try_out('load', change)
    assert kind == 'error' and 'Most of the backbone' in text


@pytest.mark.parametrize('stage', STAGES)
def test_hostile_other_model(try_out, stage):
    """Nothing fits."""

    def change(content):
        content['state_dict'] = {'stages.0.weight': torch.ones(3)}
        content.pop('ema_state_dict', None)

    kind, text = try_out(stage, change)
    assert kind == 'error'
    assert '1 tensors are not in the model: stages.0.weight' in text
    kind, _ = try_out(stage, lambda content: dict(model={}, epoch=3))
    assert kind == 'error'


@pytest.mark.parametrize('stage, expected', [
    ('test', 'fine'), ('resume', 'error'), ('load', 'fine')])
def test_hostile_queue_length(try_out, stage, expected):
    """Only training uses the queue."""
    kind, text = try_out(stage, queue_len=16)
    assert kind == expected
    if text:
        assert 'head.contrast.queue.features (8, 1280) for (16, 1280)' in text


@pytest.mark.parametrize('stage, expected', [
    ('test', 'fine'), ('resume', 'error'), ('load', 'fine')])
def test_hostile_without_queue(try_out, stage, expected):
    """A checkpoint of a classifier alone."""
    kind, text = try_out(stage, drop('.contrast.'))
    assert kind == expected
    assert ('missing: head.contrast.queue' in text) == (kind != 'fine')


@pytest.mark.parametrize('stage', ['test', 'load'])
def test_hostile_stock_head(try_out, stage):
    """CSDHead takes the head of a stock classifier over."""

    def change(content):
        drop('.contrast.')(content)
        for weights in ('state_dict', 'ema_state_dict'):
            if weights in content:
                content[weights] = {
                    name.replace('cls_head.', ''): value
                    for name, value in content[weights].items()
                }

    assert try_out(stage, change) == ('fine', '')


def test_averages_of_a_part_that_is_left_out(trained, tmp_path):
    """A test without DDL still has both the averages and the weights."""
    runner = make_runner(tmp_path, 'test', trained.path, ema=trained.ema,
                         ddl=False)
    runner.test()
    saved = torch.load(trained.path, weights_only=True)
    name = 'head.cls_head.fc.weight'
    expected = (saved['ema_state_dict'][f'module.{name}'] if trained.ema else
                saved['state_dict'][name])
    # After the test, EMAHook has swapped the weights back.
    assert torch.equal(runner.model.state_dict()[name], expected)


def test_fine_tuning_starts_with_an_empty_queue(tmp_path, trained):
    """Its labels may be of other classes."""
    runner = make_runner(tmp_path, 'load', trained.path, ema=trained.ema)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.call_hook('before_run')
    runner.load_or_resume()
    saved = torch.load(trained.path, weights_only=True)['state_dict']
    assert (saved['head.contrast.queue.labels'] >= 0).any()
    assert (runner.model.head.contrast.queue.labels == -1).all()
    assert runner.warnings == [], 'all else is taken over'


def with_old_names(content):
    """As saved before the slot ``ddl`` was called ``contrast``."""
    for weights in {'state_dict', 'ema_state_dict'} & {*content}:
        content[weights] = {name.replace('.contrast.', '.ddl.'): value
                            for name, value in content[weights].items()}
    assert any('.ddl.queue.' in name for name in content['state_dict'])
    return content


@pytest.mark.parametrize('stage', STAGES)
def test_old_names_of_the_slots(try_out, trained, tmp_path, stage):
    """Tests, resumes and fine-tunes as with the new names, bit for bit."""
    assert try_out(stage, with_old_names) == ('fine', '')
    results = []
    for path in (trained.path, tmp_path / 'changed.pth'):
        torch.manual_seed(0)  # of the images
        runner = make_runner(tmp_path, stage, path, ema=trained.ema)
        getattr(runner, 'test' if stage == 'test' else 'train')()
        models = [runner.model, *(hook.ema_model for hook in runner.hooks
                                  if isinstance(hook, EMAHook))]
        results.append([model.state_dict() for model in models])
    assert len(results[0]) == 1 + trained.ema
    for expected, found in zip(*results):
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            assert torch.equal(found[name], value), name


@pytest.mark.parametrize('change', [lambda content: content, with_old_names])
@pytest.mark.parametrize('resume', [False, True])
def test_queue_under_flexible_runner(trained, change, resume):
    """Of a model that may be split, the queue alone is looked at."""
    content = change(torch.load(trained.path, weights_only=True))
    before = {*content['state_dict']}
    CheckpointMatchHook().after_load_checkpoint(
        SimpleNamespace(_resume=resume), content)
    dropped = before - {*content['state_dict']}
    assert len(dropped) == (0 if resume else 3)
    assert all('.queue.' in name for name in dropped)
    if trained.ema:
        assert len(content['ema_state_dict']) == 1 + len(before - dropped)


def test_hostile_head_of_another_config(try_out):
    """CSDNet's checkpoint in the config of a plain classifier."""
    kind, text = try_out('test', head='LinearClsHead')
    assert kind == 'error'
    assert 'missing: head.fc.weight, head.fc.bias' in text
    assert 'not in the model: head.cls_head.fc.weight' in text


@pytest.mark.parametrize('stage', STAGES)
def test_hostile_prefix_of_a_wrapper(try_out, stage):
    """As saved from a model in a wrapper; EMA takes the names as they are."""

    def change(content):
        content['state_dict'] = {
            f'module.{name}': value
            for name, value in content['state_dict'].items()
        }

    assert try_out(stage, change) == ('fine', '')


@pytest.mark.parametrize('stage', STAGES)
def test_hostile_names_of_classes(try_out, stage):
    kind, text = try_out(stage, classes=('ash', 'cherry', 'beech'))
    assert kind == 'warning'
    assert ("2 of 3 classes have other names: class 1 is 'beech' in the "
            "checkpoint, 'cherry' in the data") in text


@pytest.mark.parametrize('stage, expected', [
    ('test', 'error'), ('resume', 'error'), ('load', 'warning')])
def test_hostile_number_of_classes_in_the_data(try_out, stage, expected):
    kind, text = try_out(stage, classes=CLASSES + ('dogwood', ))
    assert kind == expected
    assert 'trained for 3 classes, the data has 4' in text


def test_hostile_resume_from_weights_alone(try_out):
    kind, text = try_out('resume', lambda content: dict(
        state_dict=content['state_dict'], meta=content['meta']))
    assert kind == 'error'
    assert 'no message_hub, optimizer' in text and 'load_from' in text


@pytest.mark.parametrize('stage', STAGES)
def test_averages_without_their_hook(try_out, trained, stage):
    kind, text = try_out(stage, ema=False)
    refused = trained.ema and stage == 'resume'
    assert kind == ('error' if refused else 'fine')
    if refused:
        assert "EMAHook's averages, and the run has no EMAHook: add" in text
        assert 'load_from without resume' in text


def test_hostile_checkpoint_and_tta(tmp_path, trained):
    runner = make_runner(tmp_path, 'test', tta=True)
    runner.load_checkpoint(str(trained.path))
    assert runner.warnings == []
    with pytest.raises(ValueError, match='missing: backbone.conv1'):
        CheckpointMatchHook().after_load_checkpoint(
            runner, dict(state_dict={'head.contrast.queue.pointer': 1}))


@pytest.mark.parametrize('averages', [True, False])
def test_averages_and_tta(tmp_path, trained, averages):
    """EMAHook averages the model of the augmentation, by longer names."""
    runner = make_runner(tmp_path, 'test', tta=True, ema=True)
    hook = next(hook for hook in runner.hooks if isinstance(hook, EMAHook))
    hook.evaluate_on_ema = averages
    runner.call_hook('before_run')
    runner.load_checkpoint(str(trained.path))
    runner.call_hook('before_test_epoch')
    assert runner.warnings == []
    saved = torch.load(trained.path, weights_only=True)
    raw = trained.ema and not averages
    for name, value in runner.model.module.named_parameters():
        expected = (saved['ema_state_dict'][f'module.{name}'] if raw else
                    saved['state_dict'][name])
        assert torch.equal(value, expected), name


def test_hostile_checkpoint_and_ddp(tmp_path, trained):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/meeting', rank=0,
        world_size=1)
    try:
        runner = make_runner(tmp_path, 'test')
        runner.model = MMDistributedDataParallel(runner.model)
        runner.load_checkpoint(str(trained.path))
        saved = torch.load(trained.path, weights_only=True)['state_dict']
        for name, value in runner.model.module.state_dict().items():
            if '.contrast.' not in name:
                assert torch.equal(value, saved[name])
        del saved['backbone.conv1.conv.weight']
        with pytest.raises(ValueError, match='missing: backbone.conv1.conv'):
            CheckpointMatchHook().after_load_checkpoint(
                runner, dict(state_dict=saved))
    finally:
        end_processes()


def test_renaming_and_resizing_count_as_fitting():
    """What a model does to a state dict by itself is no mismatch."""

    def vit(size):
        return MODELS.build(dict(
            type='VisionTransformer', img_size=size, patch_size=16,
            arch=dict(embed_dims=8, num_layers=1, num_heads=2,
                      feedforward_channels=8)))

    small, large = vit(32), vit(64)
    match = _load(large, small.state_dict())
    assert not (match.missing or match.wrong or match.unexpected)
    assert torch.equal(large.ln1.weight, small.ln1.weight)
    state = dict(small.state_dict(), extra=torch.ones(1), cls_token='text')
    match = _load(small, state)
    assert match.unexpected == ['extra']
    assert 'cls_token' in match.refused[0]


# Payloads


class Payload:
    """Makes a file when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path, )


@pytest.fixture(params=['zip', 'legacy', 'pickle'])
def payload(tmp_path, request):
    """A checkpoint that makes a folder when it is unpickled."""
    path, made = tmp_path / 'payload.pth', tmp_path / 'made'
    content = dict(state_dict={}, meta={}, extra=Payload(made))
    if request.param == 'pickle':
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=(
            request.param == 'zip'))
    return SimpleNamespace(path=str(path), made=made, kind=request.param)


def test_hostile_payload_does_not_run(payload):
    with pytest.raises(ValueError, match='payload.pth does not load') as error:
        read_names(payload.path)
    if payload.kind != 'pickle':
        assert 'Python objects (posix.mkdir)' in str(error.value)
        assert 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1' in str(error.value)
    assert not payload.made.exists()


def test_hostile_payload_runs_if_the_user_says_so(payload, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    try:
        read_names(payload.path)
    except ValueError:
        assert payload.kind == 'pickle'  # not torch's own format
    assert payload.made.exists()


@pytest.mark.parametrize('stage', STAGES)
def test_hostile_payload_with_a_torch_that_loads_all(payload, tmp_path, stage,
                                                     monkeypatch):
    """As torch < 2.6 does by default: the hook comes first."""
    real = torch.load

    def load_all(*args, weights_only=None, **options):
        return real(*args, weights_only=bool(weights_only), **options)

    monkeypatch.setattr(torch, 'load', load_all)
    runner = make_runner(tmp_path / 'work', stage, payload.path)
    with pytest.raises(ValueError, match='does not load as a checkpoint'):
        getattr(runner, 'test' if stage == 'test' else 'train')()
    assert not payload.made.exists()
    with contextlib.suppress(pickle.UnpicklingError, RuntimeError):
        torch.load(payload.path)  # this one runs it
    assert payload.made.exists()


@pytest.mark.parametrize('kind', [
    'empty', 'text', 'half', 'half legacy', 'tensor', 'list', 'folder'])
def test_hostile_files_that_are_no_checkpoints(tmp_path, kind):
    path = tmp_path / 'file.pth'
    content = dict(tensor=torch.ones(9), list=[1]).get(
        kind, dict(state_dict=dict(a=torch.ones(999))))
    torch.save(content, path,
               _use_new_zipfile_serialization='legacy' not in kind)
    whole = path.read_bytes()
    path.write_bytes(dict(empty=b'', text=b'hello').get(
        kind, whole[:len(whole) // 2] if 'half' in kind else whole))
    if kind == 'folder':
        path.unlink()
        path.mkdir()
    with pytest.raises((ValueError, OSError)) as error:
        read_names(str(path))
    assert str(path) in str(error.value)
    assert 'objects' not in str(error.value)


def test_hostile_objects_of_other_programs(tmp_path):
    path = tmp_path / 'foreign.pth'
    torch.save(dict(state_dict={}, hub=argparse.Namespace()), path)
    with pytest.raises(ValueError, match='objects .argparse.Namespace.'):
        read_names(str(path))
