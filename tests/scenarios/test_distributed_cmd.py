"""CMD on two ranks against one process with the whole batch."""
from itertools import chain

import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from ranks import run_ranks

from csd_mmpretrain.methods.cmd.cmd import CMD

STEPS = 3
SIZES = (3, 2)
NECK = dict(
    type='CMDNeck',
    in_channels=16,
    num_prototypes=12,
    hidden_channels=8,
    bottleneck_channels=6)


def build(**backbone):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(
            dict(
                type=CMD,
                backbone=dict(
                    type='SwinTransformer',
                    img_size=32,
                    arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
                    window_size=4,
                    pad_small_map=True,
                    drop_path_rate=0.,
                    out_indices=(1, ),
                    **backbone),
                neck=NECK,
                region_neck=NECK,
                aggregator=dict(type='GatedAttentionBag', in_channels=16),
                head=dict(type='CMDHead', num_prototypes=12)))
    model.head.teacher_temp = .05
    return model.double().train()


def batches(rank=None):
    """The crops of a rank, or of both; the ranks change their sizes."""
    generator = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        sizes = SIZES if step % 2 else SIZES[::-1]
        crops = [
            torch.randn(sum(sizes), 3, side, side, generator=generator)
            for side in (32, 32, 16, 16, 16)
        ]
        parts = [crop.double().split(sizes) for crop in crops]
        yield crops if rank is None else [part[rank] for part in parts]


def train(rank=None, with_cp=False):
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    model = build(with_cp=with_cp)
    wrapped = model if rank is None else MMDistributedDataParallel(
        module=model, broadcast_buffers=False, static_graph=with_cp)
    wrapper = build_optim_wrapper(
        wrapped, dict(optimizer=dict(type='SGD', lr=.5)))
    for crops in batches(rank):
        crops = [crop.double() for crop in crops]
        losses = wrapped(crops, None, mode='loss')
        total = sum(v for k, v in losses.items() if 'loss' in k)
        wrapper.update_params(total)
        model.update_teacher(.9)
    return model.state_dict()


def train_both(rank):
    """Without gradient checkpointing, and with it."""
    return [train(rank, with_cp) for with_cp in (False, True)]


def test_two_ranks_equal_one_process(tmp_path, record_property):
    *ranks, (one, _) = run_ranks(
        train_both, tmp_path, world=len(SIZES), alone=True)
    largest = 0.
    for state in chain(*ranks):
        assert set(state) == set(one)
        for name, value in one.items():
            difference = (state[name].double() - value.double()).abs().max()
            largest = max(largest, float(difference))
    record_property('measured',
                    f'{len(SIZES)} ranks, CMD: weights and centers '
                    f'{largest:.1e}')
    first = build().state_dict()
    assert largest < 1e-12
    name = 'neck.prototypes.weight'
    assert not torch.equal(first[name], one[name])
    assert one['head.region_center'].abs().max() > 0
