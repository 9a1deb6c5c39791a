import re
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.evaluator import DumpResults, Evaluator
from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.model import BaseModule
from mmengine.optim import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    OptimWrapper,
    PolyLR,
)
from mmengine.runner import (
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    LogProcessor,
)
from mmpretrain.engine import PreciseBNHook
from mmpretrain.evaluation import (
    Accuracy,
    AveragePrecision,
    MultiLabelMetric,
    RetrievalRecall,
    SingleLabelMetric,
)
from torch import nn
from torch.utils.data import BatchSampler, DataLoader

from csd_mmpretrain.checkpoints.pretrained import (
    compare_weights,
    local_path,
    pretrained_cfg,
)
from csd_mmpretrain.datasets.samplers.seeded_batch_sampler import (
    SeededBatchSampler,
)
from csd_mmpretrain.hooks import setup_check_hook
from csd_mmpretrain.hooks.setup_check_hook import SetupCheckHook
from csd_mmpretrain.methods.csdnet.ssdp_hook import SSDPHook


class Toy(BaseModule):

    def __init__(self, **init_cfg):
        super().__init__()
        self.backbone = BaseModule(
            ConfigDict(type='Pretrained', **init_cfg) if init_cfg else None)
        self.backbone.layer = nn.Linear(2, 2)


def check(model, training=True, resume=False, load_from=None, work_dir=''):
    """Run the hook at the start of a training or of a test."""
    optim_wrapper = dict(type='OptimWrapper')
    if training:
        optim_wrapper = OptimWrapper(
            torch.optim.SGD(model.parameters(), lr=1.))
    SetupCheckHook().before_run(
        SimpleNamespace(
            model=model, optim_wrapper=optim_wrapper, rank=0, _resume=resume,
            _load_from=load_from, work_dir=work_dir))


def runner_of(**parts):
    return SimpleNamespace(**{
        **dict(model=Toy(), train_dataloader=DataLoader(range(5)), hooks=[],
               train_loop=SimpleNamespace(val_interval=1), val_loop=None,
               param_schedulers=None,
               cfg=Config(dict())),
        **parts})


@pytest.fixture
def weights(tmp_path):
    """A file for Toy's backbone, with names that begin as asked."""

    def save(prefix='', name='weights.pth'):
        torch.save({f'{prefix}layer.weight': torch.ones(2, 2)},
                   tmp_path / name)
        return str(tmp_path / name)

    return save


@pytest.fixture
def address(tmp_path, monkeypatch):
    """A web server of this machine that offers the folder of the test."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with HTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


@pytest.mark.parametrize('in_file, prefix', [
    ('', None), ('module.', None), ('backbone.', 'backbone'),
    ('backbone.', 'backbone.'), ('module.backbone.', 'backbone')
])
def test_weights_that_fit(weights, in_file, prefix):
    options = {} if prefix is None else dict(prefix=prefix)
    check(Toy(checkpoint=weights(in_file), **options))


def test_no_weights():
    check(Toy())


@pytest.mark.parametrize('in_file, prefix', [('other.', None),
                                             ('', 'backbone.')])
def test_weights_of_another_model(weights, in_file, prefix):
    model = Toy(checkpoint=weights(in_file), prefix=prefix)
    with pytest.raises(ValueError) as error:
        check(model)
    for text in ('weights.pth has no weights for backbone', 'layer.weight',
                 'init_cfg.prefix'):
        assert text in str(error.value)


@pytest.mark.parametrize('shapes, taken', [
    ({}, 0), (dict(weight=(5, 2)), 0), (dict(bias=(2, )), 1),
    (dict(weight=(2, 2)), 1)])
def test_shapes_count_not_names(shapes, taken, tmp_path):
    path, weight = tmp_path / 'weights.pth', dict(weight=(9, 9), bias=(9, ))
    torch.save({f'layer.{key}': torch.ones(shape)
                for key, shape in {**weight, **shapes}.items()}, path)
    model = Toy(checkpoint=str(path))
    found, others = compare_weights(model.backbone, dict(checkpoint=str(path)))
    assert (len(found), len(others)) == (taken, 2 - taken)
    if taken:  # half of them
        return check(model)
    with pytest.raises(ValueError, match='only 0 of its 2 tensors are there '
                       r'in the right shape \(layer.weight \('):
        check(model)


def test_missing_file():
    with pytest.raises(FileNotFoundError, match='nowhere.pth.*--weights'):
        check(Toy(checkpoint='nowhere.pth'))


def test_a_test_needs_no_weights():
    check(Toy(checkpoint='nowhere.pth'), training=False)


@pytest.mark.parametrize('load_from', [None, 'epoch_1.pth'])
def test_a_resume_needs_no_weights(tmp_path, load_from):
    run = dict(resume=True, work_dir=str(tmp_path), load_from=load_from)
    if load_from is None:  # and nothing to go on from yet
        with pytest.raises(FileNotFoundError, match='nowhere.pth'):
            check(Toy(checkpoint='nowhere.pth'), **run)
        (tmp_path / 'last_checkpoint').write_text('epoch_1.pth')
    model = Toy(checkpoint='nowhere.pth')
    check(model, **run)
    model.init_weights()  # as the runner does before it loads
    assert pretrained_cfg(model.backbone.init_cfg)  # for the summary


def test_fine_tuning_needs_them():
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        check(Toy(checkpoint='nowhere.pth'), load_from='epoch_1.pth')


def test_download(weights, address):
    weights(name='from-web.pth')
    checkpoint = f'{address}/from-web.pth'
    check(Toy(checkpoint=checkpoint))
    assert torch.load(local_path(checkpoint))['layer.weight'].sum() == 4


def test_failing_download(address, tmp_path):
    checkpoint = f'{address}/missing.pth'
    with pytest.raises(FileNotFoundError) as error:
        check(Toy(checkpoint=checkpoint))
    for text in (checkpoint, '404', '--weights',
                 'model.backbone.init_cfg.checkpoint',
                 str(tmp_path / 'torch/hub/checkpoints/missing.pth')):
        assert text in str(error.value)


def test_other_schemes_are_left_to_mmengine():
    check(Toy(checkpoint='torchvision://resnet50'))


def test_processes_need_a_wrapper(monkeypatch):
    monkeypatch.setattr(setup_check_hook, 'get_world_size', lambda: 2)
    with pytest.raises(ValueError, match='2 processes .* no wrapper'):
        check(Toy())
    check(nn.DataParallel(Toy()))


@pytest.mark.parametrize('topk, fits', [
    ((1, 5), False), (5, False), ((1, 3), True), (1, True)])
def test_no_more_top_k_than_classes(topk, fits):
    model = nn.Module()
    model.head = nn.Module()
    model.head.num_classes = 3
    metrics = [RetrievalRecall((1, 10)), MultiLabelMetric(topk=4),
               Accuracy(topk)]
    runner = runner_of(
        model=model,
        val_loop=SimpleNamespace(evaluator=Evaluator(metrics)))
    if fits:
        SetupCheckHook().before_train(runner)
    else:
        with pytest.raises(ValueError, match='topk=.*5.*knows 3 classes'):
            SetupCheckHook().before_train(runner)


@pytest.mark.parametrize('round_up, steps', [(True, [3, 3]), (False, [3, 2])])
def test_distributed_processes_need_equal_steps(monkeypatch, round_up, steps):
    def loader(rank):
        with patch('mmengine.dataset.sampler.get_dist_info',
                   return_value=(rank, 2)):
            return DataLoader(
                range(5), sampler=DefaultSampler(range(5), round_up=round_up))

    loaders = [loader(rank) for rank in range(2)]
    assert [len(each) for each in loaders] == steps
    monkeypatch.setattr(setup_check_hook, 'all_gather_object',
                        lambda length: [len(each) for each in loaders])
    runner = runner_of(train_dataloader=loaders[0])
    if round_up:
        SetupCheckHook().before_train(runner)
    else:
        with pytest.raises(ValueError, match=r'\[3, 2\] steps.*round_up=True'):
            SetupCheckHook().before_train(runner)


@pytest.mark.parametrize('save_best, metrics, fits', [
    ('accuracy/top1', [Accuracy()], True),
    ('accuracy/top1', [RetrievalRecall(1), Accuracy()], True),
    ('accuracy/top1', [MultiLabelMetric()], False),
    (['multi-label/f1-score', 'accuracy/top1'], [MultiLabelMetric()], False),
    ('multi-label/f1-score', [MultiLabelMetric()], True),
    ('mine/mAP', [AveragePrecision(prefix='mine')], True),
    ('multi-label/mAP', [AveragePrecision(prefix='mine')], False),
    ('a/b/mAP', [AveragePrecision(prefix='a/b')], True),
    ('auto', [MultiLabelMetric()], True),
    (None, [MultiLabelMetric()], True),
    ('any', [MultiLabelMetric(), DumpResults('out.pkl')], True),
])
def test_the_best_score_is_one_of_the_validation(save_best, metrics, fits):
    hook = CheckpointHook(save_best=save_best, rule='greater')
    runner = runner_of(
        hooks=[hook],
        val_loop=SimpleNamespace(evaluator=Evaluator(metrics)))
    if fits:
        SetupCheckHook().before_train(runner)
    else:
        with pytest.raises(ValueError) as error:
            SetupCheckHook().before_train(runner)
        for part in ('default_hooks.checkpoint.save_best=', 'val_evaluator',
                     f'{metrics[0].prefix}/...', "'auto'"):
            assert part in str(error.value)


@pytest.mark.parametrize('loop', [EpochBasedTrainLoop, IterBasedTrainLoop])
@pytest.mark.parametrize('processor', [True, False])
@pytest.mark.parametrize('logger', [True, False])
def test_validations_are_logged_at_their_steps(loop, processor, logger):
    train_loop = loop.__new__(loop)
    train_loop.val_interval = 1
    runner = runner_of(
        train_loop=train_loop,
        hooks=[LoggerHook(log_metric_by_epoch=logger)],
        log_processor=LogProcessor(by_epoch=processor))
    SetupCheckHook().before_train(runner)  # without a validation
    runner.val_loop = SimpleNamespace(evaluator=Evaluator(Accuracy()))
    if loop is EpochBasedTrainLoop or not (processor or logger):
        SetupCheckHook().before_train(runner)
    else:
        with pytest.raises(ValueError, match='logged at step 0(.|\n)*'
                           'log_metric_by_epoch=False'):
            SetupCheckHook().before_train(runner)


def rates(scheduler, steps=12):
    """Build a scheduler; tell the learning rates of a training."""
    optimizer = torch.optim.SGD(Toy().parameters(), lr=1.)
    scheduler = scheduler(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return scheduler, found


@pytest.mark.parametrize('epoch_length, ends', [(1, False), (2, True)])
@pytest.mark.parametrize('several', [False, True])
def test_a_warm_up_that_never_ends(epoch_length, ends, several):
    scheduler, found = rates(partial(
        LinearLR.build_iter_from_epoch, start_factor=0.01, end=1,
        epoch_length=epoch_length))
    assert found[-1] == pytest.approx(1 if ends else 0.01)
    schedulers = [scheduler]
    runner = runner_of(
        param_schedulers=dict(a=schedulers) if several else schedulers)
    if ends:
        SetupCheckHook().before_train(runner)
    else:
        with pytest.raises(ValueError, match='LinearLR has one step .*0.01 '
                           'times.*train_dataloader.batch_size'):
            SetupCheckHook().before_train(runner)


@pytest.mark.parametrize('scheduler', [
    partial(ConstantLR, factor=0.1, end=1),
    partial(LinearLR, start_factor=1., end_factor=0.1, end=1),
    partial(LinearLR, start_factor=0.1, begin=3, end=5),
    partial(LinearLR, start_factor=0.1),
    partial(PolyLR, end=1),
    partial(CosineAnnealingLR, T_max=3),
])
def test_other_schedules_are_let_through(scheduler):
    SetupCheckHook().before_train(
        runner_of(param_schedulers=[rates(scheduler)[0]]))


def test_precise_batch_norm_needs_a_batch_size():
    hooks = [PreciseBNHook()]
    batches = BatchSampler(range(5), 2, False)
    SetupCheckHook().before_train(runner_of(hooks=hooks))
    with pytest.raises(ValueError, match='PreciseBNHook.*batch_sampler=None'):
        SetupCheckHook().before_train(runner_of(
            hooks=hooks,
            train_dataloader=DataLoader(range(5), batch_sampler=batches)))


def test_the_batch_norm_of_mmcv_is_refused():
    cfg = Config(dict(sync_bn='mmcv'))
    SetupCheckHook().before_train(runner_of(cfg=cfg))
    with pytest.raises(ValueError, match="sync_bn='torch'"):
        SetupCheckHook().before_train(runner_of(cfg=cfg, hooks=[SSDPHook()]))


@pytest.mark.parametrize('init_cfg, found', [
    (None, False), ([], False), (dict(type='Kaiming'), False),
    (dict(type='Pretrained', checkpoint='a'), True),
    ([dict(type='Kaiming'), dict(type='Pretrained', checkpoint='a')], True)
])
def test_pretrained_cfg(init_cfg, found):
    cfg = pretrained_cfg(init_cfg)
    assert (cfg == dict(type='Pretrained', checkpoint='a')) is found
    assert (cfg is None) is not found


@pytest.mark.parametrize('metric', [Accuracy(), SingleLabelMetric()])
def test_metrics_of_scores_need_a_head_that_gives_them(metric):
    head = nn.Module()
    head.num_classes = 0
    runner = runner_of(
        model=SimpleNamespace(head=head),
        test_loop=SimpleNamespace(evaluator=Evaluator([metric])))
    with pytest.raises(ValueError, match=f'{type(metric).__name__} reads '
                       'class scores.*RetrievalMetric'):
        SetupCheckHook().before_test(runner)
    head.num_classes = 3
    SetupCheckHook().before_test(runner)


@pytest.mark.parametrize('interval', [0, -1])
def test_an_interval_of_no_validation_is_refused(interval):
    runner = runner_of(train_loop=SimpleNamespace(val_interval=interval))
    SetupCheckHook().before_train(runner)
    runner.val_loop = SimpleNamespace(evaluator=Evaluator([Accuracy()]))
    with pytest.raises(ValueError, match=f'val_interval={interval}: .*--no-'):
        SetupCheckHook().before_train(runner)


class Normed(BaseModule):

    def __init__(self, norm):
        super().__init__()
        self.backbone = norm


def seeded(images, batch_size, **options):
    sampler = DefaultSampler(range(images), shuffle=False, seed=0)
    return DataLoader(range(images), batch_sampler=SeededBatchSampler(
        sampler, batch_size, **options))


@pytest.mark.parametrize('loader, remedy', [
    (lambda: DataLoader(range(17), 16), 'train_dataloader.drop_last=True, or'),
    (lambda: seeded(17, 16), 'train_dataloader.batch_sampler.drop_last=True'),
    (lambda: seeded(5, 1), 'train_dataloader.batch_size=2 or more'),
    (lambda: DataLoader(range(5), 1, drop_last=True), 'batch_size=2 or more'),
    (lambda: DataLoader(range(18), 16), None),
    (lambda: DataLoader(range(16), 16), None),
    (lambda: DataLoader(range(17), 16, drop_last=True), None),
    (lambda: seeded(17, 16, drop_last=True), None),
    (lambda: DataLoader(
        range(17), 16, sampler=InfiniteSampler(range(17))), None),
])
def test_a_batch_of_one_image_is_refused_by_norms_of_vectors(loader, remedy):
    for norm, shape, refused in (
            (nn.BatchNorm1d(3), (16, 3), True),
            (nn.BatchNorm1d(3), (16, 3, 1), True),
            (nn.BatchNorm1d(3), (16, 3, 2), False),
            (nn.BatchNorm2d(3), (16, 3, 1, 1), True),
            (nn.BatchNorm2d(3), (16, 3, 2, 2), False),
            (nn.LayerNorm(3), (16, 3), False),
            (nn.BatchNorm1d(3).eval(), (16, 3), False)):
        hook = SetupCheckHook()
        runner = runner_of(model=Normed(norm), train_dataloader=loader())
        hook.before_train(runner)
        if refused and remedy:
            with pytest.raises(ValueError, match='backbone .*leave one') as e:
                norm(torch.rand(shape))
            assert remedy in str(e.value)
        else:
            norm(torch.rand(shape))
        hook.after_train_iter(runner, 0)
        assert not norm._forward_pre_hooks


def test_vectors_of_one_image_stop_before_any_step(run_python, tiny_config,
                                                   tmp_path):
    options = (
        'train_dataloader.batch_size=5',
        'train_dataloader.dataset.indices=6',
        'model.backbone.norm_eval=True',
        'model.head.cls_head.type=StackedLinearClsHead',
        'model.head.cls_head.mid_channels=[8]',
        'model.head.cls_head.norm_cfg.type=BN1d')
    program = ('tools/train.py', tiny_config, '--work-dir', tmp_path,
               '--cfg-options', *options)
    printed = run_python(*program, fails=True).stdout
    assert re.search(r'model.head.cls_head\..* \(BatchNorm1d\) gets', printed)
    assert '6 images in batches of 5 leave one' in printed
    assert 'Epoch(train)' not in printed
    run_python(*program, 'train_dataloader.batch_sampler.drop_last=True',
               'train_cfg.max_epochs=1')


def test_an_epoch_without_a_step_is_refused():
    with pytest.raises(ValueError, match='5 images make no batch of 6 .*last'):
        seeded(5, 6, drop_last=True)
    runner = runner_of(
        train_dataloader=DataLoader(range(5), 6, drop_last=True))
    with pytest.raises(ValueError, match='5 images make no step .*drop_last'):
        SetupCheckHook().before_train(runner)
