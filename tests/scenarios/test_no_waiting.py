"""No part of the training step waits for the device.

Fake tensors have shapes but no values. Whatever needs a value on the host
(``.item()``, ``.tolist()``, ``if tensor``, boolean indexing, ``nonzero``)
raises an error, and on a GPU would wait.
"""
from contextlib import suppress
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from csd_mmpretrain.layers import gather
from csd_mmpretrain.layers.feature_queue import FeatureQueue
from csd_mmpretrain.layers.gather import batch_share
from csd_mmpretrain.layers.token_trunk import TokenTrunk
from csd_mmpretrain.methods.cmd.cmd_head import CMDHead
from csd_mmpretrain.methods.cmd.cross_level import output_statistics
from csd_mmpretrain.methods.csdnet.ddl_queue_loss import DDLQueueLoss
from csd_mmpretrain.methods.csdnet.discrepancy_mask_view import (
    MODES,
    DiscrepancyMaskView,
)
from csd_mmpretrain.methods.csdnet.ssdp_hook import SSDPHook
from csd_mmpretrain.methods.csdnet.ssdp_neck import GATINGS, KERNELS, SSDPNeck
from csd_mmpretrain.methods.csdnet.ssdt_loss import SSDTLoss
from csd_mmpretrain.methods.peers.pair_margin_loss import PairMarginLoss
from csd_mmpretrain.methods.peers.random_views import EraseShuffleView

THRESHOLDS = ('mean', 0.5, ('quantile', 0.7))
BATCH, CHANNELS = 4, 8


def mask_view(**options):
    view = DiscrepancyMaskView(**options)
    view(torch.rand(BATCH, 3, 28, 28), torch.rand(BATCH, 7, 7),
         torch.zeros(BATCH, dtype=torch.long))


def shuffle_view():
    EraseShuffleView()(
        torch.rand(BATCH, 3, 32, 32), None, torch.zeros(BATCH).long())


def neck(**options):
    module = SSDPNeck(CHANNELS, **options)
    feats = (torch.rand(BATCH, CHANNELS, 7, 7, requires_grad=True), )
    module.pattern_map(feats)
    module(feats)[0].sum().backward()


def ddl(**options):
    loss = DDLQueueLoss(CHANNELS, **options)
    for _ in range(2):
        views = torch.rand(2, BATCH, CHANNELS, requires_grad=True)
        out = loss(views, torch.zeros(BATCH, dtype=torch.long))
        out['loss_qc'].backward()


def pairs():
    views = torch.rand(2, BATCH, CHANNELS, requires_grad=True)
    out = PairMarginLoss()(views, torch.zeros(BATCH, dtype=torch.long))
    out['loss_pair'].backward()


def ssdt(**options):
    logits = torch.rand(2, BATCH, CHANNELS, requires_grad=True)
    SSDTLoss(**options)(*logits)['loss_ssdt'].backward()


def queue(count):
    FeatureQueue(5, CHANNELS).enqueue(
        torch.rand(count, CHANNELS), torch.zeros(count, dtype=torch.long))


def kept_tokens():
    backbone = MODELS.build(
        dict(
            type='mmpretrain.VisionTransformer',
            arch=dict(
                embed_dims=CHANNELS,
                num_layers=2,
                num_heads=2,
                feedforward_channels=8),
            img_size=28,
            patch_size=7,
            out_type='featmap'))
    view = DiscrepancyMaskView(threshold=('quantile', 0.5))
    images = torch.rand(BATCH, 3, 28, 28)
    index = view.kept_cells(torch.rand(BATCH, 4, 4))
    with TokenTrunk(backbone).keep(index):
        backbone(images)[0].sum().backward()


PARTS = {
    'kept tokens': kept_tokens,
    **{
        f'view {mode} {threshold}': partial(
            mask_view, mode=mode, threshold=threshold)
        for mode in MODES for threshold in THRESHOLDS
    },
    'EraseShuffleView': shuffle_view,
    **{
        f'neck {kernel} {gating}': partial(neck, kernel=kernel, gating=gating)
        for kernel in KERNELS for gating in GATINGS
        if (kernel, gating) != ('conv', 'none')
    },
    **{
        f'ddl {negatives} {enqueue} {length}': partial(
            ddl, negatives=negatives, enqueue=enqueue, queue_len=length)
        for negatives in ('all', 'violating')
        for enqueue in ('raw', 'both') for length in (3, 50)
    },
    'ddl projector': partial(ddl, projector=4),
    'pairs': pairs,
    **{
        f'ssdt {direction}': partial(ssdt, direction=direction)
        for direction in ('mutual', 'aug2raw', 'raw2aug')
    },
    'queue 3': partial(queue, 3),
    'queue 12': partial(queue, 12),
    'share': lambda: batch_share(BATCH, torch.zeros(()))
}


@pytest.mark.parametrize('part', PARTS)
def test_needs_no_value_on_the_host(part):
    with FakeTensorMode():
        PARTS[part]()


@pytest.mark.parametrize('wait', [
    lambda x: x.sum().item(),
    lambda x: x.tolist(),
    lambda x: x[x > 0],
    lambda x: x.nonzero(),
    lambda x: 1 if x.sum() > 0 else 0,
])
def test_a_part_that_waits_would_be_found(wait):
    with FakeTensorMode(), pytest.raises(
        (DataDependentOutputException, DynamicOutputShapeException)):
        wait(torch.rand(3))


class Uploads(TorchDispatchMode):
    """Counts the copies from the host to a GPU, for which the host waits."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        given = tree_leaves((args, kwargs))
        devices = {x.device.type for x in given if torch.is_tensor(x)}
        made = [x for x in tree_leaves(out) if torch.is_tensor(x)]
        self.count += 'cpu' in devices and any(x.is_cuda for x in made)
        return out


def moved_center():
    CMDHead._move(SimpleNamespace(center_momentum=0.9),
                  torch.zeros(CHANNELS, device='cuda'),
                  torch.rand(BATCH, CHANNELS, device='cuda'))


def gathered(monkeypatch):
    monkeypatch.setattr(gather, 'get_world_size', lambda: 2)
    monkeypatch.setattr(gather, 'all_gather', lambda x: [x, x])
    with suppress(DataDependentOutputException):  # it waits for the sizes
        gather.gather_batch(torch.rand(BATCH, CHANNELS, device='cuda'),
                            torch.zeros(BATCH, device='cuda').long())


@pytest.mark.parametrize('part, uploads', [
    (lambda _: output_statistics(torch.rand(BATCH, 3, device='cuda')), 0),
    (lambda _: moved_center(), 0),
    (gathered, 0),
    (lambda _: torch.rand(3, device='cuda').new_tensor([3]), 1),
    (lambda _: torch.tensor(3.).to('cuda'), 1),
])
def test_numbers_are_not_sent_to_the_device(monkeypatch, part, uploads):
    with FakeTensorMode(), Uploads() as seen:
        part(monkeypatch)
    assert bool(seen.count) == bool(uploads)


@pytest.mark.gpu
def test_a_whole_step_does_not_wait_on_a_gpu():
    model = MODELS.build(
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(type='mmpretrain.MobileNetV2', widen_factor=0.25),
            neck=dict(type='SSDPNeck', in_channels=1280),
            head=dict(
                type='CSDHead',
                cls_head=dict(
                    type='mmpretrain.LinearClsHead',
                    num_classes=3,
                    in_channels=1280),
                contrast=dict(type='DDLQueueLoss', feat_dim=1280),
                distill=dict(type='SSDTLoss')))).cuda().train()
    optim_wrapper = build_optim_wrapper(
        model, ConfigDict(optimizer=dict(type='AdamW', lr=1e-3)))
    SSDPHook().before_train(SimpleNamespace(model=model))
    inputs = torch.rand(BATCH, 3, 64, 64, device='cuda')
    samples = [
        DataSample().set_gt_label(i % 3).to('cuda') for i in range(BATCH)
    ]

    def step():
        # What mmengine adds around it copies images to the device.
        with optim_wrapper.optim_context(model):
            losses = model(inputs, samples, mode='loss')
        loss, _ = model.parse_losses(losses)
        optim_wrapper.update_params(loss)

    step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode('default')
