"""Tests of SSDPNeck against loops over images and positions."""
import math

import pytest
import torch
import torch.nn.functional as F

from csd_mmpretrain.layers.feature_map import MaskedFeatures
from csd_mmpretrain.methods.csdnet.ssdp_neck import (
    GATINGS,
    SSDPNeck,
    content_pattern,
    gate_weights,
)
from csd_mmpretrain.methods.csdnet.ssdp_neck import (
    _weighted_mean as weighted_mean,
)


def slow_pattern(x, kernel):
    batch, channels, h, w = x.shape
    out = torch.zeros(batch, h, w)
    for b in range(batch):
        k = sum(x[b, :, i, j] for i in range(h) for j in range(w)) / (h * w)
        for i in range(h):
            for j in range(w):
                v = x[b, :, i, j]
                if kernel == 'cosine':
                    out[b, i, j] = F.cosine_similarity(k, v, dim=0)
                else:
                    out[b, i, j] = torch.dot(k, v) / channels
    return out


def slow_gate(p, gating):
    values = p.tolist()
    flat = [v for row in values for v in row]
    mean = sum(flat) / len(flat)
    std = math.sqrt(sum((v - mean)**2 for v in flat) / len(flat) + 1e-5)

    def weight(v):
        if gating == 'standardised':
            v = (v - mean) / std
        s = 1 / (1 + math.exp(-v))
        return {'none': 1., 'residual': 1 + s}.get(gating, s)

    return torch.tensor([[weight(v) for v in row] for row in values])


@pytest.mark.parametrize('kernel', ['gap', 'cosine'])
@pytest.mark.parametrize('shape', [(1, 3, 1, 1), (2, 5, 3, 4), (3, 17, 7, 7)])
def test_pattern_equals_the_loop(kernel, shape):
    x = torch.randn(shape)
    torch.testing.assert_close(
        content_pattern(x, kernel), slow_pattern(x, kernel), atol=1e-5,
        rtol=1e-4)


@pytest.mark.parametrize('gating', GATINGS)
def test_pooled_feature_equals_the_loop(gating):
    x = torch.randn(2, 6, 3, 5)
    neck = SSDPNeck(6, gating=gating)
    (out, ) = neck((x, ))
    for b in range(2):
        weights = slow_gate(slow_pattern(x, 'gap')[b], gating)
        for c in range(6):
            expected = (x[b, c] * weights).mean()
            torch.testing.assert_close(out[b, c], expected)


def test_layouts_agree():
    x = torch.randn(2, 6, 4, 4)
    tokens = torch.cat([torch.randn(2, 3, 6), x.flatten(2).mT], dim=1)
    expected = SSDPNeck(6)((x, ))[0]
    for layout, prefix, feat in (('nhwc', 0, x.permute(0, 2, 3, 1)),
                                 ('tokens', 3, tokens)):
        neck = SSDPNeck(6, layout=layout, num_prefix_tokens=prefix)
        torch.testing.assert_close(neck((feat, ))[0], expected)


def test_only_the_last_feature_counts():
    x = torch.randn(2, 6, 4, 4)
    neck = SSDPNeck(6)
    assert torch.equal(neck((torch.rand(2, 3, 8, 8), x))[0], neck((x, ))[0])


def test_learned_kernel_gets_a_gradient():
    neck = SSDPNeck(6, kernel='conv')
    neck((torch.randn(2, 6, 3, 3), ))[0].sum().backward()
    assert neck.conv.weight.grad.abs().sum() > 0


def test_no_parameters_without_a_learned_kernel():
    assert not list(SSDPNeck(6).parameters())


@pytest.mark.parametrize('gating', GATINGS)
@pytest.mark.parametrize('value', [0., 1., 6e4])
def test_constant_and_huge_maps_stay_finite(gating, value):
    x = torch.full((2, 4, 3, 3), value, requires_grad=True)
    out = SSDPNeck(4, gating=gating)((x, ))[0]
    out.sum().backward()
    assert out.isfinite().all() and x.grad.isfinite().all()


def test_computes_in_float32_under_autocast():
    x = torch.randn(2, 4, 3, 3).bfloat16()
    neck = SSDPNeck(4, kernel='conv')
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert neck((x, ))[0].dtype == torch.float32
        assert neck.pattern_map((x, )).dtype == torch.float32


@pytest.mark.parametrize('kernel', ['gap', 'cosine', 'conv'])
def test_a_model_in_half_precision_stays_in_it(kernel):
    x = torch.rand(2, 4, 3, 3)
    neck = SSDPNeck(4, kernel)
    feature, = neck((x, ))
    half, = neck.bfloat16()((x.bfloat16(), ))
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), feature, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize('option, message', [
    (dict(kernel='max'), "kernel='max'"),
    (dict(gating='add'), "gating='add'"),
    (dict(layout='chw'), "layout='chw'"),
    (dict(kernel='conv', gating='none'), 'without a gradient'),
    (dict(num_prefix_tokens=1), 'num_prefix_tokens=1'),
    (dict(layout='tokens', num_prefix_tokens=-1), 'num_prefix_tokens=-1'),
])
def test_bad_options_are_named(option, message):
    with pytest.raises(ValueError, match=message):
        SSDPNeck(4, **option)


def test_channels_must_match():
    with pytest.raises(ValueError, match='in_channels=8.*7 channels'):
        SSDPNeck(8)((torch.rand(2, 7, 3, 3), ))


def test_gate_weights_are_one_per_position():
    assert gate_weights(torch.rand(2, 3, 4)).shape == (2, 3, 4)


def some_positions(batch, h, w):
    """From one position to all of them, image by image."""
    valid = torch.zeros(batch, h * w, dtype=torch.bool)
    for b, row in enumerate(valid):
        count = 1 + b * (h * w - 1) // max(batch - 1, 1)
        row[torch.randperm(h * w)[:count]] = True
    return valid.view(batch, h, w)


@pytest.mark.parametrize('layout', ['nchw', 'nhwc', 'tokens'])
@pytest.mark.parametrize('kernel, gating', [
    (kernel, gating) for kernel in ('gap', 'cosine', 'conv')
    for gating in GATINGS if (kernel, gating) != ('conv', 'none')
])
def test_masked_features_equal_the_valid_positions_alone(
        kernel, gating, layout):
    x = torch.randn(4, 6, 3, 3, requires_grad=True)
    valid = some_positions(4, 3, 3)
    neck = SSDPNeck(6, kernel, gating, layout)
    feat = dict(
        nchw=x, nhwc=x.permute(0, 2, 3, 1), tokens=x.flatten(2).mT)[layout]
    (out, ) = neck(MaskedFeatures((feat, ), valid))
    alone = SSDPNeck(6, kernel, gating)
    alone.load_state_dict(neck.state_dict())
    expected = torch.cat(
        [alone((x[b:b + 1, :, valid[b]][..., None], ))[0] for b in range(4)])
    torch.testing.assert_close(out, expected)

    weights = torch.randn_like(out)
    leaves = [x, *neck.parameters()]
    fast = torch.autograd.grad((out * weights).sum(), leaves)
    slow = torch.autograd.grad((expected * weights).sum(),
                               [x, *alone.parameters()])
    for ours, theirs in zip(fast, slow):
        torch.testing.assert_close(ours, theirs)
    assert not fast[0].permute(0, 2, 3, 1)[~valid].any()


@pytest.mark.parametrize('kernel', ['gap', 'cosine', 'conv'])
@pytest.mark.parametrize('gating', ['multiply', 'standardised', 'residual'])
def test_what_is_not_valid_does_not_count(kernel, gating):
    x = torch.randn(4, 6, 4, 5)
    valid = some_positions(4, 4, 5)
    neck = SSDPNeck(6, kernel, gating)
    (out, ) = neck(MaskedFeatures((x, ), valid))
    other = torch.where(valid[:, None], x, 100 * torch.randn_like(x))
    (again, ) = neck(MaskedFeatures((other, ), valid))
    torch.testing.assert_close(again, out)


@pytest.mark.parametrize('gating', GATINGS)
def test_all_valid_is_the_plain_feature(gating):
    x = torch.randn(3, 6, 5, 4)
    neck = SSDPNeck(6, gating=gating)
    (out, ) = neck(MaskedFeatures((x, ), torch.ones(3, 5, 4).bool()))
    torch.testing.assert_close(out, neck((x, ))[0])


@pytest.mark.parametrize('gating', GATINGS)
def test_one_valid_position_has_finite_gradients(gating):
    x = torch.randn(2, 4, 3, 3, requires_grad=True)
    valid = torch.zeros(2, 3, 3, dtype=torch.bool)
    valid[:, 1, 2] = True
    out = SSDPNeck(4, gating=gating)(MaskedFeatures((x, ), valid))[0]
    out.sum().backward()
    assert out.isfinite().all() and x.grad.isfinite().all()


def test_masked_features_stay_float32_under_autocast():
    x = torch.randn(2, 4, 3, 3).bfloat16()
    feats = MaskedFeatures((x, ), some_positions(2, 3, 3))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert SSDPNeck(4)(feats)[0].dtype == torch.float32


def test_weighted_mean_equals_the_loop():
    x, weights = torch.randn(3, 2, 4, 5), torch.rand(3, 4, 5)
    valid = some_positions(3, 4, 5)
    for w, v in ((None, None), (weights, None), (None, valid),
                 (weights, valid)):
        out = weighted_mean(x, w, v)
        for b in range(3):
            values = [
                x[b, :, i, j] * (1 if w is None else w[b, i, j])
                for i in range(4) for j in range(5)
                if v is None or v[b, i, j]
            ]
            torch.testing.assert_close(out[b], sum(values) / len(values))


@pytest.mark.parametrize('kernel, gating', [
    ('gap', 'multiply'), ('cosine', 'standardised'), ('conv', 'residual'),
    ('gap', 'none')])
def test_the_pooled_map_has_the_feature_as_its_mean(kernel, gating):
    neck = SSDPNeck(5, kernel, gating)
    x = torch.randn(2, 5, 3, 4)
    found = neck.pooled_map((x, ))
    assert found.shape == x.shape
    torch.testing.assert_close(found.mean((2, 3)), neck((x, ))[0])
