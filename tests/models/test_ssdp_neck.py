"""Tests of SSDPNeck against loops over images and positions."""
import math

import pytest
import torch
import torch.nn.functional as F

from csd_mmpretrain.models.necks import SSDPNeck
from csd_mmpretrain.models.necks.ssdp_neck import (
    GATINGS,
    content_pattern,
    gate_weights,
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
