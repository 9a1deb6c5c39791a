"""No part of the training step waits for the device.

Fake tensors have shapes but no values. Whatever needs a value on the host
(``.item()``, ``.tolist()``, ``if tensor``, boolean indexing, ``nonzero``)
raises an error, and on a GPU would wait.
"""
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

from csd_mmpretrain.engine.hooks import SSDPHook
from csd_mmpretrain.models.losses import (
    DDLQueueLoss,
    PairMarginLoss,
    SSDTLoss,
)
from csd_mmpretrain.models.necks import SSDPNeck
from csd_mmpretrain.models.necks.ssdp_neck import GATINGS, KERNELS
from csd_mmpretrain.models.utils import FeatureQueue
from csd_mmpretrain.models.utils.gather import batch_share
from csd_mmpretrain.models.utils.token_trunk import TokenTrunk
from csd_mmpretrain.models.views import DiscrepancyMaskView, EraseShuffleView
from csd_mmpretrain.models.views.discrepancy_mask_view import MODES

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


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
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
                ddl=dict(type='DDLQueueLoss', feat_dim=1280),
                ssdt=dict(type='SSDTLoss')))).cuda().train()
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
