"""Maps of CMD's bags against the equations, patch by patch."""
import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from csd_mmpretrain.methods.cmd.bag_maps import agreement, bag_maps

NECK = dict(
    type='CMDNeck',
    in_channels=16,
    num_prototypes=12,
    hidden_channels=8,
    bottleneck_channels=6)


def build(**changes):
    cfg = dict(
        type='CMD',
        backbone=dict(
            type='VisionTransformer',
            img_size=32,
            patch_size=8,
            arch=dict(
                embed_dims=16,
                num_layers=1,
                num_heads=2,
                feedforward_channels=16),
            out_type='raw'),
        neck=NECK,
        region_neck=NECK,
        aggregator=dict(type='GatedAttentionBag', in_channels=16),
        head=dict(type='CMDHead', num_prototypes=12),
        layout='tokens',
        num_prefix_tokens=1,
        data_preprocessor=dict(mean=[10.] * 3, std=[50.] * 3, to_rgb=True))
    return MODELS.build(dict(cfg, **changes)).eval()


def items(count):
    return [
        dict(
            inputs=torch.randint(0, 256, (3, 32, 32)).byte(),
            data_samples=DataSample()) for _ in range(count)
    ]


def test_agreement():
    p = torch.randn(2, 5, 7).log_softmax(-1)
    q = torch.randn(2, 7).log_softmax(-1)
    found = agreement(p, q)
    for b in range(2):
        for n in range(5):
            expected = sum(
                float(x * y)**.5 for x, y in zip(p[b, n].exp(), q[b].exp()))
            assert float(found[b, n]) == pytest.approx(expected, rel=1e-5)


def test_maps_are_those_of_the_teacher():
    model, given = build(), items(3)
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.zero_()
    rows = bag_maps(model, given)
    for row, item in zip(rows, given):
        image = item['inputs'].flip(0)[None].float()
        with torch.no_grad():
            x = model.teacher['backbone']((image - 10) / 50)[-1][:, 1:]
            weights = model.teacher['aggregator'](x)[0].exp()
        assert np.allclose(row.weights.ravel(), 16 * weights, atol=1e-4)
        assert row.weights.shape == row.agreement.shape == (4, 4)
        shown = item['inputs'].flip(0).permute(1, 2, 0).numpy()
        assert np.array_equal(row.image, shown)


def test_a_mean_weighs_all_patches_alike():
    row, = bag_maps(build(aggregator=None), items(1))
    np.testing.assert_allclose(row.weights, 1, rtol=1e-5)


def test_models_without_bags():
    plain = MODELS.build(
        dict(type='ImageClassifier', backbone=dict(type='LeNet5')))
    with pytest.raises(TypeError, match='the model is ImageClassifier'):
        bag_maps(plain, items(1))
    head = dict(
        type='CMDHead',
        num_prototypes=12,
        image_weight=1.,
        region_weight=0.,
        inter_weight=0.)
    with pytest.raises(TypeError, match='CMD without one'):
        bag_maps(build(region_neck=None, aggregator=None, head=head), items(1))
