"""CSDNet on several ranks against one process with the whole batch."""
import os
import re
import tempfile
import traceback
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODEL_WRAPPERS, DefaultScope
from mmengine.runner import turn_on_activation_checkpointing
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from ranks import run_ranks
from torch.distributed.fsdp import FullyShardedDataParallel

from csd_mmpretrain.methods.csdnet.ddl_queue_loss import DDLQueueLoss
from csd_mmpretrain.methods.csdnet.ssdp_hook import SSDPHook
from csd_mmpretrain.runtime.block_fsdp_strategy import BlockFSDPStrategy

STEPS = 4
SIZES = {2: (3, 1), 4: (2, 5, 1, 4)}
SWIN = dict(
    type='SwinTransformer',
    img_size=32,
    arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
    window_size=4,
    drop_path_rate=0.,
    out_indices=(1, ))
# Batch norm with the statistics it has.
RESNET = dict(
    type='ResNet',
    depth=18,
    num_stages=2,
    strides=(1, 2),
    dilations=(1, 1),
    out_indices=(1, ),
    stem_channels=8,
    base_channels=8,
    norm_eval=True)
VIT = dict(
    type='VisionTransformer',
    img_size=32,
    patch_size=8,
    arch=dict(
        embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=24),
    out_type='featmap')
KEPT = dict(
    second_pass='kept_tokens',
    view=dict(type='DiscrepancyMaskView', threshold=('quantile', 0.5)))
LINEAR = dict(type='LinearClsHead', num_classes=4, in_channels=16)
ARCFACE = dict(LINEAR, type='ArcFaceClsHead')
DDL = dict(type='DDLQueueLoss', feat_dim=16, queue_len=9)
SSDT = dict(type='SSDTLoss')
DDP = dict(type='MMDistributedDataParallel', broadcast_buffers=False)
STATIC = dict(DDP, static_graph=True)
INSIDE_WRAPPERS = re.compile(
    r'^module\.|_fsdp_wrapped_module\.|_checkpoint_wrapped_module\.')
PARTS = ['backbone.stages.0.blocks.0', 'backbone.stages.1.blocks.0']

# What each run changes, of which this is for the ranks alone:
RANKS_ALONE = ('wrapper', 'checkpointing', 'fsdp')
FP64 = dict(dtype=torch.float64)
RUNS = dict(
    fp64=FP64,
    fp32=dict(),
    norm_eval=dict(FP64, backbone=RESNET),
    arcface=dict(FP64, cls_head=ARCFACE),
    one_view=dict(FP64, distill=None),
    own_image=dict(FP64, contrast=dict(own_image=False)),
    prototypes=dict(
        FP64, contrast=dict(
            type='PrototypeQueueLoss', num_classes=4, spread=4.0)),
    unused=dict(FP64, wrapper=dict(DDP, find_unused_parameters=True)),
    static=dict(FP64, wrapper=STATIC),
    accumulated=dict(FP64, counts=2),
    with_cp=dict(FP64, wrapper=STATIC, checkpointing='with_cp'),
    activation_checkpointing=dict(
        FP64, wrapper=STATIC, checkpointing='mmengine'),
    fsdp=dict(FP64, fsdp=dict(recompute=True)),
    kept_tokens=dict(FP64, backbone=VIT, hook=KEPT),
    kept_tokens_fsdp=dict(
        FP64, backbone=VIT, hook=KEPT, fsdp=dict(recompute=True)),
    # FSDP takes the norm in fp32 only.
    fsdp_clipped=dict(fsdp=dict(), clip_grad=dict(max_norm=0.05)))
NAMES = {2: list(RUNS), 4: ['fp64', 'fp32', 'accumulated', 'fsdp']}


@contextmanager
def float_means(dtype):
    """Let all that computes in float32 compute in ``dtype``."""
    default = torch.get_default_dtype()
    with ExitStack() as stack:
        if dtype != torch.float32:
            stack.enter_context(
                patch.object(torch.Tensor, 'float', lambda x: x.to(dtype)))
        torch.set_default_dtype(dtype)
        stack.callback(torch.set_default_dtype, default)
        yield


def build(backbone=SWIN,
          cls_head=LINEAR,
          distill=SSDT,
          contrast=None,
          checkpointing=None):
    torch.manual_seed(0)
    if checkpointing == 'with_cp':
        backbone = dict(backbone, with_cp=True)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=backbone,
                neck=dict(type='SSDPNeck', in_channels=16),
                head=dict(
                    type='CSDHead',
                    cls_head=cls_head,
                    contrast={**DDL, **(contrast or {})},
                    distill=distill),
                data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3)))
    if checkpointing == 'mmengine':
        turn_on_activation_checkpointing(model, PARTS)
    return model


def batches(sizes, rank=None):
    """The batches of a rank, or of all ranks together.

    From step to step, the ranks change their batch sizes.
    """
    generator = torch.Generator().manual_seed(0)
    total = sum(sizes)
    for step in range(STEPS):
        images = torch.randint(
            0, 256, (total, 3, 32, 32), generator=generator).byte()
        labels = torch.randint(0, 4, (total, ), generator=generator)
        turned = sizes[step % len(sizes):] + sizes[:step % len(sizes)]
        share = slice(None)
        if rank is not None:
            start = sum(turned[:rank])
            share = slice(start, start + turned[rank])
        yield dict(
            inputs=images[share],
            data_samples=[
                DataSample(metainfo=dict(sample_idx=i)).set_gt_label(label)
                for i, label in list(enumerate(labels.tolist()))[share]
            ])


def prepare(model, optim_wrapper, rank, wrapper, fsdp):
    """The model in its wrapper, and its optimizer."""
    if rank is not None and fsdp is not None:
        with patch.dict(os.environ, LOCAL_RANK=str(rank)):
            strategy = BlockFSDPStrategy(
                blocks=['SwinBlock', 'TransformerEncoderLayer'],
                model_wrapper=dict(device_id='cpu'),
                work_dir=tempfile.gettempdir(),
                **fsdp)
            return strategy.prepare(
                model,
                optim_wrapper=optim_wrapper,
                dispatch_kwargs=dict(init_weights_for_test_or_val=False))
    if rank is not None:
        model = MODEL_WRAPPERS.build(
            dict(wrapper, module=model, device_ids=None))
    return model, build_optim_wrapper(model, optim_wrapper)


@contextmanager
def whole(wrapped):
    """All parameters by name, put together from the shards of FSDP."""
    with ExitStack() as stack:
        if isinstance(wrapped, FullyShardedDataParallel):
            stack.enter_context(
                wrapped.summon_full_params(wrapped, with_grads=True))
        yield {
            INSIDE_WRAPPERS.sub('', name): param
            for name, param in wrapped.named_parameters()
        }


def train(sizes,
          rank=None,
          dtype=torch.float32,
          counts=1,
          clip_grad=None,
          wrapper=DDP,
          fsdp=None,
          distill=SSDT,
          hook=None,
          **parts):
    """A few steps, and what they leave behind."""
    grads, losses = [], []

    def keep_grads(*_):
        with whole(wrapped) as params:
            grads.append({k: v.grad.clone() for k, v in params.items()})

    with float_means(dtype):
        model = build(distill=distill, **parts)
        optim_wrapper = dict(
            optimizer=dict(type='SGD', lr=0.1),
            accumulative_counts=counts,
            clip_grad=clip_grad)
        wrapped, optim_wrapper = prepare(model, optim_wrapper, rank, wrapper,
                                         fsdp)
        wrapped.train()
        second_view = SSDPHook(**hook or {}, enabled=distill is not None)
        second_view.before_train(SimpleNamespace(model=wrapped))
        optim_wrapper.optimizer.register_step_pre_hook(keep_grads)
        optim_wrapper.initialize_count_status(wrapped, 0, STEPS)
        for batch in batches(sizes, rank):
            logged = wrapped.train_step(batch, optim_wrapper)
            losses.append(logged['loss'].detach())
        with whole(wrapped) as params:
            weights = {k: v.detach().clone() for k, v in params.items()}
    return dict(
        grads=grads,
        losses=losses,
        weights=weights,
        queue=model.head.contrast.queue.state_dict())


def remember(sizes, rank=None, steps=200):
    """Many batches of all sizes, without a model."""
    generator = torch.Generator().manual_seed(0)
    loss = DDLQueueLoss(3, 17)
    for step in range(steps):
        now = [(size * step) % 7 + 1 for size in sizes]
        views = torch.randn(2, sum(now), 3, generator=generator)
        labels = torch.randint(0, 4, (sum(now), ), generator=generator)
        start = sum(now[:rank or 0])
        share = slice(start, None if rank is None else start + now[rank])
        loss(views[:, share], labels[share])
    return loss.queue.state_dict()


def train_all(rank, sizes):
    """One rank; a run that fails is told to the test of that run."""
    results = dict(queue=remember(sizes, rank))
    for name in NAMES[len(sizes)]:
        try:
            results[name] = train(sizes, rank, **RUNS[name])
        except RuntimeError:
            results[name] = traceback.format_exc()
    return results


@pytest.fixture(scope='module')
def on_ranks(tmp_path_factory):
    """What each rank of a group of some size leaves behind."""

    @lru_cache(maxsize=None)
    def run(world):
        return run_ranks(train_all, tmp_path_factory.mktemp('ranks'),
                         SIZES[world], world=world)

    return run


def largest_difference(found, expected):
    """Relative to the largest entry of each tensor."""
    return max(
        float((found[key] - value).abs().max() /
              value.abs().max().clamp(min=1e-3))
        for key, value in expected.items())


@pytest.mark.parametrize(
    'world, name', [(n, name) for n in SIZES for name in NAMES[n]])
def test_ranks_equal_one_process(on_ranks, world, name, record_property):
    sizes = SIZES[world]
    results = [result[name] for result in on_ranks(world)]
    if 'fsdp' in name and 'does not support' in results[0]:
        pytest.skip("this torch's gloo cannot shard")
    assert not any(isinstance(result, str) for result in results), results
    options = {
        key: value
        for key, value in RUNS[name].items()
        if key not in RANKS_ALONE
    }
    one = train(sizes, **options)

    assert len(one['grads']) == STEPS // options.get('counts', 1)
    differences = dict(loss=0., grad=0., weight=0., queue=0.)
    for step, loss in enumerate(one['losses']):
        mean = sum(rank['losses'][step] for rank in results) / len(sizes)
        differences['loss'] = max(differences['loss'],
                                  float((mean - loss).abs()))
    for rank in results:
        for found, expected in zip(rank['grads'], one['grads']):
            differences['grad'] = max(differences['grad'],
                                      largest_difference(found, expected))
        differences['weight'] = max(
            differences['weight'],
            largest_difference(rank['weights'], one['weights']))
        differences['queue'] = max(
            differences['queue'],
            largest_difference(rank['queue'], one['queue']))
        for key, value in results[0]['queue'].items():
            assert torch.equal(rank['queue'][key], value), key
        assert torch.equal(rank['queue']['labels'], one['queue']['labels'])
    figures = ', '.join(f'{k} {v:.1e}' for k, v in differences.items())
    record_property('measured', f'{world} ranks, {name}: {figures}')
    fp64 = options.get('dtype') == torch.float64
    assert max(differences.values()) < (1e-10 if fp64 else 1e-4)


@pytest.mark.parametrize('world', SIZES)
def test_queue_is_the_same_on_all_ranks_after_many_steps(on_ranks, world):
    one = remember(SIZES[world])
    for result in on_ranks(world):
        for key, value in one.items():
            assert torch.equal(result['queue'][key], value), key
