"""Target layers and layouts: CNN, ViT, Swin, of mmpretrain and of timm."""
from types import SimpleNamespace

import pytest
import torch
from mmpretrain.registry import MODELS
from torch import nn

from csd_mmpretrain.visualization.cam_layers import (
    MapReader,
    find_target_layer,
    get_layers,
)

GAP = dict(type='GlobalAveragePooling')
VIT = dict(
    type='VisionTransformer',
    arch=dict(embed_dims=24, num_layers=3, num_heads=2,
              feedforward_channels=48),
    img_size=64,
    patch_size=16)
SWIN = dict(
    type='SwinTransformer',
    arch=dict(embed_dims=12, depths=[1, 1], num_heads=[1, 1]),
    img_size=64,
    window_size=4,
    out_indices=(1, ))
CONVNEXT = dict(
    type='ConvNeXt', arch=dict(depths=[1, 1], channels=[8, 16]),
    out_indices=(1, ))
TIMM = dict(type='TIMMBackbone', features_only=False)
TIMM_VIT = dict(TIMM, model_name='vit_tiny_patch16_224', img_size=64)

# Backbone, neck, in_channels, the layer, its map of a 64 px image.
MODEL_CASES = {
    'resnet': (dict(type='ResNet', depth=18), GAP, 512, 'layer4.1', 2),
    'mobilenet-v2':
    (dict(type='MobileNetV2', widen_factor=0.25), GAP, 1280, 'conv2', 2),
    'csdnet': (dict(type='MobileNetV2', widen_factor=0.25),
               dict(type='SSDPNeck', in_channels=1280), 1280, 'conv2', 2),
    'convnext': (CONVNEXT, None, 16, 'stages.1.0', 8),
    'convnext-csdnet':
    (dict(CONVNEXT, gap_before_final_norm=False),
     dict(type='SSDPNeck', in_channels=16), 16, 'norm1', 8),
    'vit-class-token': (VIT, None, 24, 'layers.2.ln1', 4),
    'vit-average':
    (dict(VIT, out_type='avg_featmap'), None, 24, 'ln1', 4),
    'vit-csdnet': (dict(VIT, out_type='featmap'),
                   dict(type='SSDPNeck', in_channels=24), 24, 'ln1', 4),
    'vit-tokens':
    (dict(VIT, out_type='raw'),
     dict(type='SSDPNeck', in_channels=24, layout='tokens',
          num_prefix_tokens=1), 24, 'ln1', 4),
    'swin': (SWIN, GAP, 24, 'norm1', 8),
    'swin-csdnet': (SWIN, dict(type='SSDPNeck', in_channels=24), 24, 'norm1',
                    8),
    'timm-cnn': (dict(TIMM, model_name='resnet18'), GAP, 512,
                 'timm_model.layer4.1', 2),
    'timm-vit-csdnet':
    (TIMM_VIT,
     dict(type='SSDPNeck', in_channels=192, layout='tokens',
          num_prefix_tokens=1), 192, 'timm_model.norm', 4),
    'timm-swin-csdnet':
    (dict(TIMM, model_name='swin_tiny_patch4_window7_224', img_size=64),
     dict(type='SSDPNeck', in_channels=768, layout='nhwc'), 768,
     'timm_model.norm', 2),
}


def build(backbone, neck, channels, classes=5):
    if backbone['type'] == 'TIMMBackbone':
        pytest.importorskip('timm')
    head = dict(type='LinearClsHead', num_classes=classes,
                in_channels=channels)
    if neck and neck['type'] == 'SSDPNeck':
        head = dict(type='CSDHead', cls_head=head)
    model = MODELS.build(
        dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head))
    return model.eval()


@pytest.mark.parametrize('name', MODEL_CASES)
def test_default_layer(name):
    backbone, neck, channels, layer, side = MODEL_CASES[name]
    model = build(backbone, neck, channels)
    for parameter in model.backbone.parameters():
        parameter.requires_grad_(False)
    images = torch.randn(2, 3, 64, 64)
    reader = MapReader(model, (64, 64))
    found = find_target_layer(model, images)
    assert found == f'backbone.{layer}'
    module, = get_layers(model, [found])
    outputs = []
    module.register_forward_hook(lambda *args: outputs.append(args[-1]))
    last = model.backbone(images)[-1]
    seen = reader(outputs[0])
    assert seen.shape[0] == 2 and seen.shape[2:] == (side, side)
    assert len(module._forward_hooks) == 1
    if neck == GAP:
        assert torch.equal(seen, last)
    elif neck is not None:
        assert torch.equal(seen, model.neck.feature_map((last, )))


@pytest.mark.parametrize('shape, size, known, expected', [
    ((2, 512, 7, 7), (224, 224), None, (2, 512, 7, 7)),
    ((2, 7, 7, 512), (224, 224), None, (2, 512, 7, 7)),
    ((2, 8, 7, 7), (224, 224), None, (2, 8, 7, 7)),
    ((2, 7, 7, 8), (224, 224), None, (2, 8, 7, 7)),
    ((2, 16, 15, 20), (480, 640), None, (2, 16, 15, 20)),
    ((2, 8, 11, 16), (240, 321), None, (2, 16, 8, 11)),
    ((2, 197, 768), (224, 224), None, (2, 768, 14, 14)),
    ((2, 196, 768), (224, 224), 0, (2, 768, 14, 14)),
    ((2, 196, 768), (224, 224), 1, None),
    ((2, 768), (224, 224), None, None),
    ((2, 768, 1, 1), (224, 224), None, None),
    ((2, 12, 196, 64), (224, 224), None, None),
    ((2, 2, 768), (224, 224), 1, None),
])
def test_layouts(shape, size, known, expected):
    reader, x = MapReader(SimpleNamespace(backbone=None), size, known), (
        torch.randn(shape))
    if expected is None:
        with pytest.raises(ValueError, match='which is no feature map'):
            reader(x)
        return
    seen = reader(x)
    assert seen.shape == expected
    if x.dim() == 3:
        assert torch.equal(seen.flatten(2).mT, x[:, -seen[0, 0].numel():])
    else:
        assert torch.equal(
            seen, x if x.shape == expected else x.permute(0, 3, 1, 2))


def test_a_shape_that_fits_both_follows_the_neck():
    x = torch.randn(2, 7, 7, 7)
    for layout, expected in (('nchw', x), ('nhwc', x.permute(0, 3, 1, 2))):
        model = SimpleNamespace(
            backbone=None, neck=SimpleNamespace(layout=layout))
        assert torch.equal(MapReader(model, (64, 64))(x), expected)


def test_tokens_only():
    model = build(*MODEL_CASES['resnet'][:3])
    with pytest.raises(ValueError, match='no feature map of tokens'):
        find_target_layer(model, torch.randn(1, 3, 64, 64),
                          tokens_only=True)


def test_errors():
    model = build(*MODEL_CASES['resnet'][:3])
    with pytest.raises(ValueError, match="'backbone.layer5'.*backbone.layer"):
        get_layers(model, ['backbone.layer5'])
    reader = MapReader(model, (64, 64), 3)
    with pytest.raises(ValueError, match='shape .2, 8.*which is no feature'):
        reader(torch.zeros(2, 8))
    with pytest.raises(ValueError, match='--num-extra-tokens 1'):
        reader(torch.zeros(2, 17, 8))
    model.backbone = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 512))
    model.neck = None
    with pytest.raises(ValueError, match='Sequential: the logits depend on'):
        find_target_layer(model, torch.randn(1, 3, 64, 64))
