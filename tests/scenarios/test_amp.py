"""Mixed precision: the wrapper, and whole steps of CSDNet."""
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from mmpretrain.registry import MODELS, OPTIM_WRAPPERS
from mmpretrain.structures import DataSample
from ranks import run_ranks
from torch import nn

from csd_mmpretrain.methods.csdnet.ssdp_hook import SSDPHook
from csd_mmpretrain.runtime.bfloat16_optim_wrapper import BFloat16OptimWrapper

CHANNELS = 64  # of the last feature map
LABELS = [0, 0, 1, 2]
GPU = pytest.param('cuda', marks=pytest.mark.gpu)
DEVICES = ['cpu', GPU]


def csdnet(device, kernel='gap', ddl='DDLQueueLoss'):
    torch.manual_seed(0)
    ddl = dict(type=ddl)
    if ddl['type'] == 'DDLQueueLoss':
        ddl.update(feat_dim=CHANNELS, queue_len=8)
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(
                type='ResNet',
                depth=18,
                stem_channels=8,
                base_channels=8,
                norm_eval=True),
            neck=dict(type='SSDPNeck', in_channels=CHANNELS, kernel=kernel),
            head=dict(
                type='CSDHead',
                cls_head=dict(
                    type='LinearClsHead', num_classes=3, in_channels=CHANNELS),
                contrast=ddl,
                distill=dict(type='SSDTLoss')))).to(device)
    model.train()
    SSDPHook().before_train(SimpleNamespace(model=model))
    return model


def step(model, images, context=None, scaler=None):
    """Two forward passes, so that the queue is in use, and one update."""
    samples = [DataSample().set_gt_label(label).to(images.device)
               for label in LABELS]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with context or nullcontext():
        model(images.flip(0), samples[::-1], mode='loss')
        losses = model(images, samples, mode='loss')
    loss, _ = model.parse_losses(losses)
    if scaler is None:
        loss.backward()
    else:
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 5.)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer.step() if scaler is None else scaler.step(optimizer)
    assert any(not torch.equal(p, q)
               for p, q in zip(before, model.parameters()))
    for parameter in model.parameters():
        assert parameter.dtype == torch.float32
        assert parameter.isfinite().all() and parameter.grad.isfinite().all()
    return losses, norm


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('kernel', ['gap', 'cosine', 'conv'])
@pytest.mark.parametrize('dtype, tolerance', [(torch.float16, 1e-3),
                                              (torch.bfloat16, 2e-2)])
def test_amp_step_is_close_to_float32(device, kernel, dtype, tolerance):
    images = torch.randn(4, 3, 64, 64, device=device)
    expected, expected_norm = step(csdnet(device, kernel), images)
    scaler = None
    if dtype == torch.float16:
        if not hasattr(torch.amp, 'GradScaler'):
            pytest.skip('torch has no gradient scaler for this device')
        scaler = torch.amp.GradScaler(device, init_scale=1024.)
    model = csdnet(device, kernel)
    seen = []
    model.neck.register_forward_hook(
        lambda module, args, out: seen.append((args[0][-1].dtype,
                                               out[0].dtype)))
    losses, norm = step(model, images, torch.autocast(device, dtype), scaler)

    assert norm.isfinite() and seen[-1] == (dtype, torch.float32)
    assert model.head.contrast.queue.features.dtype == torch.float32
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    differences = {name: float((loss - expected[name]).abs().detach())
                   for name, loss in losses.items()}
    change = float((norm / expected_norm - 1).abs())
    print(f'{dtype}, {kernel}: {differences}, gradient norm {change:.1%}')
    assert max(differences.values()) < tolerance
    assert change < 10 * tolerance


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('ddl', ['DDLQueueLoss', 'PairMarginLoss'])
@pytest.mark.parametrize('kernel', ['gap', 'cosine'])
@pytest.mark.parametrize('scale', [0., 1., 1e4])
def test_amp_of_constant_images_is_finite(device, ddl, kernel, scale):
    images = torch.full((4, 3, 64, 64), scale, device=device)
    losses, norm = step(
        csdnet(device, kernel, ddl), images,
        torch.autocast(device, torch.bfloat16))
    assert all(loss.isfinite() for loss in losses.values())
    assert norm <= 10 * max(1, scale)


def features(kind):
    unit = torch.randn(8, CHANNELS, 2, 1)
    return dict(zero=0 * unit, constant=0 * unit + 3, tiny=1e-8 * unit,
                huge=(unit * 1e5).clamp(-65504, 65504),
                one_zero=unit * (torch.arange(8) > 0).view(8, 1, 1, 1))[kind]


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
@pytest.mark.parametrize('ddl', ['DDLQueueLoss', 'PairMarginLoss'])
@pytest.mark.parametrize('kernel', ['gap', 'cosine'])
@pytest.mark.parametrize('kind', ['zero', 'constant', 'tiny', 'huge',
                                  'one_zero'])
def test_amp_features_of_any_size_give_a_sane_gradient(kind, kernel, ddl,
                                                       dtype):
    model = csdnet('cpu', kernel, ddl)
    samples = [DataSample().set_gt_label(label) for label in LABELS]
    x = features(kind).to(dtype).requires_grad_()
    mixed = dtype != torch.float32
    for _ in range(2):
        with torch.autocast('cpu', torch.bfloat16, enabled=mixed):
            losses = model.head.loss(model.neck((x, )), samples)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert x.grad.isfinite().all() and x.grad.abs().max() < 10


def build_wrapper(model, **kwargs):
    return OPTIM_WRAPPERS.build(
        dict(
            type='BFloat16OptimWrapper',
            optimizer=torch.optim.SGD(model.parameters(), lr=0.5),
            **kwargs))


@pytest.mark.parametrize('device', DEVICES)
def test_amp_wrapper_casts_inside_its_context_only(device):
    model = nn.Linear(3, 2).to(device)
    wrapper = build_wrapper(model, clip_grad=dict(max_norm=1e-3))
    x = torch.randn(4, 3, device=device)
    with wrapper.optim_context(model):
        assert model(x).dtype == torch.bfloat16
        loss = model(x).float().pow(2).mean()
    assert model(x).dtype == model.weight.dtype == torch.float32
    before = model.weight.detach().clone()
    wrapper.update_params(loss)
    assert 0 < (model.weight - before).norm() <= 0.5e-3 * 1.01


def test_amp_wrapper_names_an_option_that_it_lacks():
    with pytest.raises(TypeError, match="argument 'loss_scale'"):
        build_wrapper(nn.Linear(3, 2), loss_scale='dynamic')


def accumulate(model, rank, world):
    """Two updates, each of two forward passes; the last weights."""
    generator = torch.Generator().manual_seed(0)
    wrapper = BFloat16OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=0.5), accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    seen = []
    for _ in range(4):
        x = torch.randn(2 * 8, 3, generator=generator)
        y = torch.randn(2 * 8, 1, generator=generator)
        share = slice(rank, None, world)
        with wrapper.optim_context(model):
            loss = (model(x[share]) - y[share]).float().pow(2).mean()
        wrapper.update_params(loss)
        seen.append([p.detach().clone() for p in model.parameters()])
    return seen


def accumulate_on_rank(rank):
    torch.manual_seed(0)
    return accumulate(MMDistributedDataParallel(nn.Linear(3, 1)), rank, 2)


def test_distributed_amp_accumulates_as_one_process(tmp_path):
    ranks = run_ranks(accumulate_on_rank, tmp_path)
    torch.manual_seed(0)
    one = accumulate(nn.Linear(3, 1), 0, 1)
    for i, (first, second, single) in enumerate(zip(*ranks, one)):
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[0], ranks[0][max(i - 1, 0)][0]) == (i % 2 < 1)
        torch.testing.assert_close(first, single, rtol=0, atol=0.02)
