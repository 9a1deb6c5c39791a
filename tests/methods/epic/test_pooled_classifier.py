import copy
from unittest.mock import patch

import numpy as np
import pytest
import torch
from mmpretrain.models import ClsHead
from mmpretrain.registry import MODELS
from torch import nn

from csd_mmpretrain.methods.epic.disentanglement_matrix import (
    DisentanglementMatrix,
)
from csd_mmpretrain.methods.epic.explain import mixed_weight
from csd_mmpretrain.methods.epic.pooled_classifier import (
    REFUSED,
    PooledClassifier,
    norm_after_pooling,
)
from csd_mmpretrain.methods.epic.purity import mix_channels

GAP = dict(type='GlobalAveragePooling')
CSD = 'CSDNet'
TINY_VIT = dict(embed_dims=24, num_layers=2, num_heads=2,
                feedforward_channels=48)
CONVNEXT = dict(depths=[1, 1, 1, 1], channels=[8, 8, 16, 24])
# Backbone, channels, neck.
MODEL_KINDS = dict(
    resnet=(dict(type='ResNet', depth=18), 512, GAP),
    mobilenet=(dict(type='MobileNetV2', widen_factor=0.25), 1280, GAP),
    csdnet=(dict(type='MobileNetV2', widen_factor=0.25), 1280, CSD),
    csdnet_conv=(dict(type='MobileNetV2', widen_factor=0.25), 1280,
                 dict(type='SSDPNeck', kernel='conv', gating='standardised')),
    swin=(dict(type='SwinTransformer', img_size=64, window_size=2,
               arch=dict(embed_dims=8, depths=[1, 1, 1, 1],
                         num_heads=[1, 1, 1, 1])), 64, GAP),
    densenet=(dict(type='DenseNet', arch=dict(
        growth_rate=4, depths=[1, 1, 1, 1], init_channels=8)), 8, GAP),
    fused=(dict(type='ResNet', depth=18, out_indices=range(4)), 64, [
        dict(type='HRFuseScales', in_channels=(64, 128, 256, 512),
             out_channels=64), GAP]),
    convnext=(dict(type='ConvNeXt', arch=CONVNEXT), 24, None),
    convnext_map=(dict(type='ConvNeXt', arch=CONVNEXT,
                       gap_before_final_norm=False), 24, GAP),
    edgenext=(dict(type='EdgeNeXt', arch='xxsmall'), 168, None),
    vit=(dict(type='VisionTransformer', arch=TINY_VIT, img_size=64,
              patch_size=16, out_type='avg_featmap'), 24, None),
    vit_map=(dict(type='VisionTransformer', arch=TINY_VIT, img_size=64,
                  patch_size=16, out_type='featmap'), 24, GAP),
    beit=(dict(type='BEiTViT', arch=TINY_VIT, img_size=64, patch_size=16,
               out_type='avg_featmap', final_norm=False), 24, None),
    vit_tokens=(dict(type='VisionTransformer', arch=TINY_VIT, img_size=64,
                     patch_size=16, out_type='raw'), 24,
                dict(type='SSDPNeck', layout='tokens', num_prefix_tokens=1)))
LINEAR = dict(type='LinearClsHead')


def build(backbone, channels, neck, head=LINEAR):
    head = dict(head, num_classes=5, in_channels=channels)
    if neck == CSD:
        neck = dict(type='SSDPNeck')
        head = dict(type='CSDHead', cls_head=head)
    if isinstance(neck, dict) and neck['type'] == 'SSDPNeck':
        neck = dict(neck, in_channels=channels)
    model = MODELS.build(
        dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head,
             data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3)))
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, std=0.3)
    for parameter in model.head.parameters():
        nn.init.normal_(parameter)
    return model.eval()


def random_matrix(dim, kind='orthogonal'):
    matrix = DisentanglementMatrix(
        dim, kind, 'cayley' if kind == 'orthogonal' else 'exp')
    nn.init.normal_(matrix.raw, std=0.5 / dim**0.5)
    return matrix


def difference(model, images, kind='orthogonal'):
    """The largest of the logits after a matrix and of the model's own."""
    classifier = PooledClassifier(model)
    maps, logits = classifier.read(images)
    assert torch.equal(logits, model(images))
    matrix = random_matrix(maps.size(1), kind).to(maps)
    mixing, inverse = matrix.both()
    means = mix_channels(maps, mixing).mean((2, 3))
    found = (classifier.pooled(means)
             @ mixed_weight(classifier.weight, inverse).mT + classifier.bias)
    assert torch.equal(found.argmax(1), logits.argmax(1))
    return (found - logits).abs().max() / logits.abs().max().clamp(min=1)


@pytest.mark.parametrize('name', MODEL_KINDS)
@torch.no_grad()
def test_logits_stay_the_same(name):
    model = build(*MODEL_KINDS[name])
    images = torch.randn(3, 3, 64, 64)
    before = copy.deepcopy(model.state_dict())
    assert difference(model, images) < 1e-4
    assert difference(model, images, 'invertible') < 1e-4
    if name == 'edgenext':  # it computes in float32 alone
        return
    # What this project computes in float32 is computed in float64, too.
    with patch.object(torch.Tensor, 'float', torch.Tensor.double):
        assert difference(model.double(), images.double()) < 1e-9
    for key, value in model.float().state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize('neck', [GAP, CSD], ids=['plain', 'csdnet'])
@torch.no_grad()
def test_arcface_keeps_its_cosines(neck):
    model = build(dict(type='MobileNetV2', widen_factor=0.25), 1280, neck,
                  dict(type='ArcFaceClsHead', scale=16.))
    images = torch.randn(3, 3, 64, 64)
    assert difference(model, images) < 1e-4
    assert PooledClassifier(model).cosine
    with pytest.raises(AssertionError):
        assert difference(model, images, 'invertible') < 1e-4


@pytest.mark.parametrize('head', [
    dict(type='VisionTransformerClsHead'),
    dict(type='EfficientFormerClsHead', distillation=False)])
@torch.no_grad()
def test_other_heads_with_one_layer(head):
    model = build(dict(type='MobileNetV2', widen_factor=0.25), 1280, GAP, head)
    assert difference(model, torch.randn(2, 3, 64, 64)) < 1e-4


def test_the_norm_after_pooling_of_the_published_code(oracle):
    known = {key: torch.from_numpy(value) for key, value in oracle(
        'epic/norm_after_pooling').items()}
    normed = norm_after_pooling(
        known['feature_map'], known['norm_weight'], known['norm_bias'],
        known['eps'].item())
    np.testing.assert_allclose(normed, known['normed_map'], rtol=1e-9)
    logits = normed.mean((2, 3)) @ known['weight'].mT + known['bias']
    np.testing.assert_allclose(logits, known['logits'], rtol=1e-9)
    matrix = DisentanglementMatrix(len(known['raw'])).double()
    with torch.no_grad():
        matrix.raw.copy_(known['raw'])
    mixing, inverse = matrix.both()
    means = mix_channels(normed, mixing).mean((2, 3))
    np.testing.assert_allclose(
        means @ mixed_weight(known['weight'], inverse).mT + known['bias'],
        known['new_logits'], rtol=1e-9)


CNN = dict(type='MobileNetV2', widen_factor=0.25)
VIT = dict(type='VisionTransformer', arch=TINY_VIT, img_size=64,
           patch_size=16)


@pytest.mark.parametrize('model, message', [
    ((CNN, 1280, GAP, dict(type='StackedLinearClsHead', mid_channels=[8])),
     'StackedLinearClsHead has several layers'),
    ((CNN, 1280, GAP, dict(type='VisionTransformerClsHead', hidden_dim=4)),
     'VisionTransformerClsHead has a hidden layer'),
    ((CNN, 1280, GAP, dict(type='EfficientFormerClsHead')),
     'EfficientFormerClsHead averages two linear layers'),
    ((CNN, 1280, GAP, dict(type='ArcFaceClsHead', num_subcenters=3)),
     'largest of 3 subcenters'),
    ((CNN, 1280, GAP, dict(type='LeViTClsHead', distillation=False)),
     'LeViTClsHead has a batch norm'),
    ((CNN, 1280, GAP, dict(type='MultiLabelLinearClsHead')),
     'MultiLabelLinearClsHead predicts several labels'),
    ((CNN, 1280, dict(type='GeneralizedMeanPooling')),
     'GeneralizedMeanPooling is not average pooling'),
    ((CNN, 1280, None), 'MobileNetV2 without a neck does not average'),
    ((VIT, 24, None), r"VisionTransformer without a neck \(out_type="
     "'cls_token'"),
])
def test_other_classifiers_are_refused_by_name(model, message):
    with pytest.raises(ValueError, match=message):
        PooledClassifier(build(*model))


def test_every_refused_head_is_one_of_mmpretrain():
    for name in REFUSED:
        assert MODELS.get(name) is not None


def test_what_is_no_classifier_is_refused():
    with pytest.raises(ValueError, match='Linear is no ImageClassifier'):
        PooledClassifier(nn.Linear(2, 2))
    model = build(CNN, 1280, GAP)
    model.head = ClsHead()
    with pytest.raises(ValueError, match='ClsHead is a head that EPIC does'):
        PooledClassifier(model)


def test_a_layer_before_the_head_is_found_by_the_logits():
    model = build(CNN, 1280, GAP)
    head = model.head
    forward = head.forward
    head.forward = lambda feats: forward((feats[-1] + 1, ))
    with pytest.raises(ValueError, match='does more between map and logits'):
        PooledClassifier(model).read(torch.randn(2, 3, 64, 64))


def test_a_head_of_other_channels_is_refused():
    model = build(CNN, 1280, GAP)
    model.head.fc = nn.Linear(7, 5)
    with pytest.raises(ValueError, match=r'shape \(2, 1280, 2, 2\).*7, h, w'):
        PooledClassifier(model).read(torch.randn(2, 3, 64, 64))
