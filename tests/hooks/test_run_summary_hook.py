import logging
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.logging import MessageHub
from mmpretrain.datasets import BaseDataset, CustomDataset, MultiLabelDataset
from mmpretrain.models import ImageClassifier
from PIL import Image
from torch import nn

from csd_mmpretrain.checkpoints.pretrained import file_hash
from csd_mmpretrain.hooks import run_summary_hook
from csd_mmpretrain.hooks.run_summary_hook import RunSummaryHook
from csd_mmpretrain.methods.csdnet.ssdp_hook import SSDPHook

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=64),
    dict(type='CenterCrop', crop_size=48),
    dict(type='PackInputs')
]


@pytest.fixture
def dataset(tmp_path):
    """Classes of 1, 2 and 5 images."""
    for label, count in enumerate((1, 2, 5)):
        folder = tmp_path / f'class{label}'
        folder.mkdir()
        for index in range(count):
            Image.new('RGB', (8, 8)).save(folder / f'{index}.png')
    return CustomDataset(str(tmp_path), pipeline=PIPELINE)


def test_dataset(dataset, tmp_path):
    assert run_summary_hook._dataset(dataset) == (
        f'CustomDataset in {tmp_path}: 8 images, 3 classes, 1-2-5 per class '
        '(min-median-max), 48 px')


def test_images_that_are_left_out(dataset, tmp_path):
    assert len(run_summary_hook._data('train data', dataset)) == 1
    for name in ('a.webp', 'b.HEIC', '.hidden.webp', 'notes.txt'):
        (tmp_path / 'class1' / name).touch()
    (tmp_path / 'above.webp').touch()
    (_, first), (title, text) = run_summary_hook._data('train data', dataset)
    assert first.startswith('CustomDataset') and title == 'left out'
    assert text.startswith('2 .HEIC, .webp files, which the dataset does not')
    assert f'{tmp_path}/class1/a.webp' in text


@pytest.mark.parametrize('wrap, counts', [
    (lambda d: RepeatDataset(d, times=2), '2-4-10'),
    (lambda d: ConcatDataset([d, d]), '2-4-10'),
])
def test_wrapped_dataset(dataset, wrap, counts):
    text = run_summary_hook._dataset(wrap(dataset))
    assert f'16 images, 3 classes, {counts} per class' in text


def test_classes_without_images(dataset):
    part = dataset.get_subset([0, 1, 2])
    text = run_summary_hook._dataset(part)
    assert '1-1.5-2 per class (min-median-max), none of class2,' in text


def test_images_without_one_label(tmp_path):
    path = tmp_path / 'list.json'
    path.write_text('{"metainfo": {"classes": ["a", "b"]}, "data_list": '
                    '[{"img_path": "x.png", "gt_label": [0, 1]}]}')
    text = run_summary_hook._dataset(MultiLabelDataset(str(path)))
    assert text.endswith('1 images, 2 classes')


@pytest.mark.parametrize('steps, size', [
    ([dict(type='RandomResizedCrop', scale=448),
      dict(type='RandomFlip', prob=.5)], '448'),
    ([dict(type='RandomResizedCrop', scale=448),
      dict(type='Rotate', angle=15., prob=1.)], '448'),
    ([dict(type='Resize', scale=(64, 32))], '32 x 64'),
    ([dict(type='CenterCrop', crop_size=(32, 64))], '32 x 64'),
    ([dict(type='Resize', scale_factor=2.)], None),
    ([], None),
])
def test_input_size(steps, size):
    dataset = BaseDataset('', lazy_init=True, pipeline=steps)
    assert run_summary_hook._input_size(dataset.pipeline) == size


GAP = dict(type='GlobalAveragePooling')
LINEAR = dict(type='LinearClsHead', num_classes=3, in_channels=1280)


def make_runner(head, neck=GAP, hooks=(), load_from=None, world_size=1,
                accumulated=1, iter=0, **backbone):
    """What the summary needs of a runner."""
    cfg = Config(dict(load_from=load_from, model=dict(
        backbone=dict(type='MobileNetV2', widen_factor=.25, **backbone),
        neck=neck,
        head=head)))
    return SimpleNamespace(
        model=ImageClassifier(**cfg.model),
        cfg=cfg,
        iter=iter,
        hooks=[object(), *hooks],
        train_dataloader=SimpleNamespace(
            dataset=[1, 2], batch_sampler=SimpleNamespace(batch_size=4)),
        val_loop=None,
        world_size=world_size,
        optim_wrapper=SimpleNamespace(_accumulative_counts=accumulated))


def header(*args, **options):
    """Its lines as (title, text) pairs."""
    first, *lines = run_summary_hook._summarize(
        make_runner(*args, **options)).split('\n')
    assert first == 'Run:'
    return [re.fullmatch(r'    (.{12})(.*)', line).groups() for line in lines]


def test_plain_classifier():
    lines = header(LINEAR)
    assert [name.strip() for name, _ in lines] == [
        'train data', 'model', 'weights', 'parameters', 'device', 'batch',
        'loss']
    lines = {name.strip(): text for name, text in lines}
    assert lines['train data'] == 'list: 2 images'
    assert lines['model'] == ('MobileNetV2 (widen_factor 0.25) - '
                              'GlobalAveragePooling - LinearClsHead')
    assert lines['device'] == 'cpu, float32'
    assert lines['loss'] == '1 x CrossEntropyLoss'


def test_csdnet():
    lines = {name.strip(): text for name, text in header(
        dict(
            type='CSDHead',
            cls_head=dict(
                LINEAR, loss=dict(type='LabelSmoothLoss',
                                  label_smooth_val=.1)),
            contrast=dict(
                type='DDLQueueLoss', feat_dim=1280, queue_len=8,
                margin=.3, loss_weight=.5),
            distill=dict(type='SSDTLoss', loss_weight=2.),
            aug_loss_weight=.75),
        neck=dict(type='SSDPNeck', in_channels=1280),
        hooks=[SSDPHook()])}
    assert lines['model'] == ('MobileNetV2 (widen_factor 0.25) - SSDPNeck - '
                              'CSDHead (LinearClsHead)')
    assert lines['pattern map'] == 'kernel gap, gating multiply'
    assert lines['loss'] == (
        '1 x LabelSmoothLoss + 0.75 x (the same on the second view) + '
        'alpha=0.5 x DDLQueueLoss (queue 8, margin 0.3) + beta=2 x SSDTLoss '
        '(temperature 3.0, direction mutual)')
    assert lines['second view'].startswith('DiscrepancyMaskView (')


def test_partial_csdnet():
    """Without DDL and SSDT, or with a loss that has no queue."""
    head = dict(type='CSDHead', cls_head=LINEAR, aug_loss_weight=0)
    assert header(head)[-1] == ('loss        ', '1 x CrossEntropyLoss')
    *_, (_, loss) = header(dict(head, contrast=dict(type='PairMarginLoss')))
    assert loss == (
        '1 x CrossEntropyLoss + alpha=1 x PairMarginLoss (margin 0.4)')


@pytest.mark.parametrize('hook, text', [
    (dict(view=dict(type='DiscrepancyMaskView', mode='crop')),
     'DiscrepancyMaskView (mode crop, threshold mean, area (0.1, 0.9))'),
    (dict(view=dict(type='EraseShuffleView')), 'EraseShuffleView (area '),
    (dict(enabled=False), 'switched off'),
])
def test_second_view(hook, text):
    title, line = header(LINEAR, hooks=[SSDPHook(**hook)])[-1]
    assert title == 'second view ' and line.startswith(text)


def test_a_resumed_training_has_the_weights_of_its_checkpoint():
    lines = header(LINEAR, iter=3, init_cfg=dict(
        type='Pretrained', checkpoint='https://host/weights.pth'))
    assert dict(lines)['weights     '] == 'those of the checkpoint'


def test_weights(tmp_path):
    path = tmp_path / 'weights.pth'
    backbone = make_runner(LINEAR).model.backbone.state_dict()
    torch.save({key: value for key, value in backbone.items()
                if not key.startswith('conv1')}, path)
    total = sum('num_batches' not in key for key in backbone)
    lines = header(
        LINEAR, init_cfg=dict(type='Pretrained', checkpoint=str(path)),
        load_from='http://nowhere/whole.pth')
    assert [text for name, text in lines if name.startswith('weights')] == [
        f'weights.pth (sha256 {file_hash(path)}...) for backbone, '
        f'{total - 5} of {total} tensors',
        'http://nowhere/whole.pth for the whole model'
    ]


def test_file_hash(tmp_path):
    path = tmp_path / 'abc'
    path.write_bytes(b'abc')
    assert file_hash(path) == 'ba7816bf'


def test_parameters():
    model = nn.Linear(999, 1000)
    model.bias.requires_grad = False
    assert run_summary_hook._parameters(model) == '1.00 M, 1.00 M trainable'


@pytest.mark.parametrize('world, counts, text', [
    (1, 1, '4 images'),
    (2, 1, '8 images, 4 on each of 2 processes'),
    (2, 3, '24 images, 4 on each of 2 processes, accumulated over 3 steps'),
])
def test_batch(world, counts, text):
    lines = header(LINEAR, world_size=world, accumulated=counts)
    assert ('batch       ', text) in lines


@pytest.fixture
def runner(request, caplog):
    """What the hook needs of a runner."""
    caplog.set_level(logging.INFO)
    return SimpleNamespace(
        rank=0,
        epoch=0,
        train_loop=None,
        message_hub=MessageHub(request.node.name),
        logger=logging.getLogger('summary'))


def validate(hook, runner, scores, metric='accuracy/top1'):
    hook._training = True
    for score in scores:
        runner.epoch += 1
        hook.after_val_epoch(runner, {metric: score, 'other': 0.})


@pytest.mark.parametrize('rule, best', [('greater', 'epoch: 2, score 60.0'),
                                        ('less', 'epoch: 3, score 10.0')])
def test_best_and_last_epoch(runner, caplog, rule, best):
    hook = RunSummaryHook(metric='score', rule=rule)
    validate(hook, runner, [50., np.float64(60), 10., 55.], 'score')
    hook.after_train(runner)
    assert f'Best {best}000; last epoch: 4, score 55.0000.' in caplog.text


def test_best_epoch_survives_a_resume(runner, request, caplog):
    validate(RunSummaryHook(), runner, [50., 60., 10.])
    state = runner.message_hub.state_dict()
    runner.message_hub = MessageHub(request.node.name + '2')
    runner.message_hub.load_state_dict(state)
    hook = RunSummaryHook()
    validate(hook, runner, [55.])
    hook.after_train(runner)
    assert 'Best epoch: 2, accuracy/top1 60.0000; last epoch: 4' in caplog.text


def test_the_first_number_ranks_the_epochs(runner, caplog):
    hook = RunSummaryHook()
    validate(hook, runner, [[1., 2.]])
    hook.after_train(runner)
    assert 'Best epoch: 1, other 0.0000' in caplog.text
    runner.message_hub = MessageHub('no_numbers')
    hook._training = True
    hook.after_val_epoch(runner, dict(matrix=torch.eye(3)))
    assert runner.message_hub.get_info('run_summary') is None


def test_nothing_to_report(runner, caplog):
    """Training without validation; validation without training."""
    hook = RunSummaryHook()
    hook.after_train(runner)
    hook.after_val_epoch(runner, {'accuracy/top1': 1.})
    assert not caplog.text
    assert runner.message_hub.get_info('run_summary') is None


def test_unknown_metric(runner):
    with pytest.raises(ValueError, match='score.*accuracy/top1, other'):
        validate(RunSummaryHook(metric='score'), runner, [1.])


def test_unknown_rule():
    with pytest.raises(ValueError, match='most'):
        RunSummaryHook(rule='most')
