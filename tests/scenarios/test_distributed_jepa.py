"""JEPA on two ranks against one process with the whole batch."""
import torch
import torch.nn.functional as F
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from ranks import run_ranks

from csd_mmpretrain.methods.jepa.jepa import JEPA

STEPS, RANKS, BATCH = 4, 2, 5


def build():
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(
            dict(
                type=JEPA,
                backbone=dict(
                    type='VisionTransformer',
                    arch=dict(
                        embed_dims=24,
                        num_layers=2,
                        num_heads=2,
                        feedforward_channels=24),
                    img_size=48,
                    patch_size=8,
                    out_type='raw'),
                neck=dict(
                    type='JEPAPredictor',
                    in_channels=24,
                    embed_dims=16,
                    depth=1,
                    num_heads=2),
                target_generator=dict(
                    type='RegionTargets', min_area=.03, block=0, start=.5,
                    curriculum='sample', order='random',
                    blocks=dict(min_keep=2))))
    for p in model.backbone.parameters():
        p.data = torch.randn_like(p) * .2
    model.teacher.restart(dict(backbone=model.backbone))
    return model.double().train()


def batches(rank):
    """The images of a rank, which are every second one, or of both."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        images = F.interpolate(
            torch.randn(BATCH, 3, 5, 5, generator=generator), size=48,
            mode='bicubic').double()
        yield images if rank is None else images[rank::RANKS]


def train(rank=None):
    torch.set_default_dtype(torch.float64)
    model = build()
    wrapped = model if rank is None else MMDistributedDataParallel(
        module=model, broadcast_buffers=False)
    wrapper = build_optim_wrapper(
        wrapped, dict(optimizer=dict(type='SGD', lr=.5)))
    for step, images in enumerate(batches(rank)):
        model.start_step(step, step / STEPS)
        losses = wrapped(images, None, mode='loss')
        wrapper.update_params(losses['loss_jepa'])
        model.update_teacher(.9)
    return model.state_dict()


def test_two_ranks_equal_one_process(tmp_path, record_property):
    """The ranks have three images and two."""
    *ranks, one = run_ranks(train, tmp_path, world=RANKS, alone=True)
    largest = max(float((rank[name] - value).abs().max())
                  for rank in ranks for name, value in one.items())
    record_property('measured', f'{RANKS} ranks, JEPA: weights {largest:.1e}')
    assert largest < 1e-12
    first = build().state_dict()
    for name in ('backbone.layers.0.attn.qkv.weight', 'neck.mask_token',
                 'teacher.backbone.cls_token'):
        assert not torch.equal(first[name], one[name])
