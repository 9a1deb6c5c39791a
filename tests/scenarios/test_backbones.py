"""One CSDNet training step and one prediction with many backbones."""
from types import SimpleNamespace

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from csd_mmpretrain.methods.csdnet.ssdp_hook import SSDPHook

TOKENS = dict(layout='tokens')
VIT = dict(patch_size=16, out_type='featmap')
TIMM = dict(type='TIMMBackbone', features_only=False)
BACKBONES = {
    'swin-t': (dict(
        type='SwinTransformer', arch='tiny', pad_small_map=True), 768, {}),
    'swinv2-t': (dict(
        type='SwinTransformerV2',
        arch='tiny',
        img_size=64,
        window_size=8,
        pad_small_map=True), 768, {}),
    'vit-s16': (dict(VIT, type='VisionTransformer', arch='deit-small'), 384,
                {}),
    'deit3-s': (dict(VIT, type='DeiT3', arch='small'), 384, {}),
    'convnext-t': (dict(
        type='ConvNeXt', arch='tiny', gap_before_final_norm=False), 768, {}),
    'hornet-t': (dict(
        type='HorNet', arch='tiny', gap_before_final_norm=False), 512, {}),
    'edgenext-xxs': (dict(
        type='EdgeNeXt', arch='xxsmall', gap_before_final_norm=False), 168,
                     {}),
    'tinyvit-5m': (dict(
        type='TinyViT', arch='5m', img_size=(64, 64),
        gap_before_final_norm=False), 320, {}),
    'resnet50': (dict(type='ResNet', depth=50), 2048, {}),
    'mobilenet-v3': (dict(type='MobileNetV3', arch='small'), 576, {}),
    'efficientnet-b0': (dict(type='EfficientNet', arch='b0'), 1280, {}),
    'hrnet-w18': (dict(type='HRNet', arch='w18'), 144, {}),
    'beit-b16': (dict(VIT, type='BEiTViT', arch='deit-small'), 384, {}),
    'eva02-t': (dict(
        type='ViTEVA02', arch='tiny', patch_size=16, out_type='featmap'), 192,
                {}),
    'timm-cnn': (dict(TIMM, model_name='resnet18'), 512, {}),
    'timm-swin': (dict(
        TIMM, model_name='swin_tiny_patch4_window7_224', img_size=64), 768,
                  dict(layout='nhwc')),
    'timm-vit-registers': (dict(
        TIMM, model_name='vit_small_patch14_reg4_dinov2', img_size=56), 384,
                           dict(TOKENS, num_prefix_tokens=5)),
}


# Those that take images of one size alone.
RIGID = ('beit-b16', 'tinyvit-5m', 'timm-swin', 'timm-vit-registers')


def csdnet(name, **kwargs):
    backbone, channels, layout = BACKBONES[name]
    if backbone['type'] == 'TIMMBackbone':
        pytest.importorskip('timm')
    size = 56 if backbone.get('img_size') == 56 else 64
    if backbone['type'] in ('VisionTransformer', 'DeiT3', 'BEiTViT',
                            'ViTEVA02'):
        backbone = dict(backbone, img_size=size)
    backbone = dict(backbone, **kwargs)
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=backbone,
            neck=dict(type='SSDPNeck', in_channels=channels, **layout),
            head=dict(
                type='CSDHead',
                cls_head=dict(
                    type='LinearClsHead', num_classes=3,
                    in_channels=channels),
                contrast=dict(
                    type='DDLQueueLoss', feat_dim=channels, queue_len=4),
                distill=dict(type='SSDTLoss'))))
    return model.train(), torch.randn(2, 3, size, size)


def train_step(model, images, scale):
    SSDPHook(scale=scale).before_train(SimpleNamespace(model=model))
    samples = [DataSample().set_gt_label(label) for label in (0, 1)]
    return model(images, samples, mode='loss')


@pytest.mark.parametrize('name', BACKBONES)
def test_trains_a_step_and_predicts(name):
    model, images = csdnet(name)
    losses = train_step(model, images, 1 if name in RIGID else 0.5)
    assert set(losses) == {
        'loss_cls', 'loss_cls_aug', 'loss_qc', 'ddl_positives', 'loss_ssdt'
    }
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    grads = [p.grad for p in model.backbone.parameters()
             if p.grad is not None]
    assert grads and all(g.isfinite().all() for g in grads)
    assert any(g.abs().sum() > 0 for g in grads)
    model.eval()
    with torch.no_grad():
        assert model(images, mode='tensor').shape == (2, 3)
        assert len(model.extract_feat(images)[-1]) == 2


@pytest.mark.parametrize('name', RIGID)
def test_backbones_of_one_size_refuse_smaller_views(name):
    with pytest.raises(ValueError, match='scale=0.5 .* does not take .*Set d'):
        train_step(*csdnet(name), 0.5)


def test_a_vit_of_timm_for_several_sizes_takes_smaller_views():
    model, images = csdnet('timm-vit-registers', dynamic_img_size=True)
    assert 'loss_cls_aug' in train_step(model, images, 0.5)


@pytest.mark.parametrize('backbone, message', [
    (dict(type='VisionTransformer', arch='deit-tiny', img_size=32), 'featmap'),
    (dict(type='ConvNeXt', arch='atto'), 'gap_before_final_norm'),
    (dict(type='HorNet', arch='tiny'), 'gap_before_final_norm.*HorNet'),
    (dict(type='EdgeNeXt', arch='xxsmall'), 'gap_before_final.*EdgeNeXt'),
    (dict(type='TinyViT', arch='5m', img_size=(32, 32)),
     'gap_before_final_norm=False.*TinyViT'),
])
def test_pooled_backbones_name_the_option(backbone, message):
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=backbone,
            neck=dict(type='SSDPNeck', in_channels=192)))
    with pytest.raises(ValueError, match=message):
        model(torch.randn(2, 3, 32, 32))
