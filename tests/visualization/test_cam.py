import sys

import cv2
import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from torch import nn

from csd_mmpretrain.visualization.cam import (
    METHODS,
    _maps,
    cam_panels,
    cam_rows,
    find_category,
    grad_cams,
    method_class,
)
from csd_mmpretrain.visualization.cam_layers import (
    find_target_layer,
    get_layers,
)

pytest.importorskip('pytorch_grad_cam')
CNN = dict(type='MobileNetV2', widen_factor=0.25), 1280
VIT = dict(
    type='VisionTransformer',
    arch=dict(
        embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=48),
    img_size=64,
    patch_size=16), 24


def _model(backbone, channels, csdnet=True):
    head = dict(type='LinearClsHead', num_classes=5, in_channels=channels)
    neck = None
    if csdnet:
        neck = dict(type='SSDPNeck', in_channels=channels)
        head = dict(type='CSDHead', cls_head=head)
    elif backbone['type'] == 'MobileNetV2':
        neck = dict(type='GlobalAveragePooling')
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=backbone,
            neck=neck,
            head=head,
            data_preprocessor=dict(
                mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)))
    nn.init.normal_((model.head.cls_head if csdnet else model.head).fc.weight)
    # Without statistics of its own a random CNN gives almost constant maps.
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model.train().backbone(torch.randn(8, 3, 64, 64))
    return model.eval()


def _layer(model, images):
    return get_layers(model, [find_target_layer(model, images)])


def _obvious_grad_cam(model, image, target):
    """Grad-CAM's equations, for one image and a CNN that ends in a map."""
    feats = model.backbone(image[None])[-1].detach().requires_grad_()
    model.head(model.neck((feats, )))[0, target].backward()
    cam = torch.zeros(feats.shape[2:])
    for channel in range(feats.size(1)):
        weight = 0.
        for gradient in feats.grad[0, channel].flatten():
            weight += gradient / feats[0, channel].numel()
        cam += weight * feats[0, channel].detach()
    cam = _scale(cam.clamp(min=0).numpy())
    return _scale(cv2.resize(cam, tuple(image.shape[:0:-1])))


def _scale(cam):
    return (cam - cam.min()) / max((cam - cam.min()).max(), 1e-7)


@pytest.mark.parametrize('csdnet', [True, False])
@pytest.mark.parametrize('size', [(96, 96), (96, 128)])
def test_grad_cam_equals_its_equations(csdnet, size):
    model = _model(*CNN, csdnet)
    images, targets = torch.randn(3, 3, *size), [0, 3, 3]
    cams = _maps(model, images, _layer(model, images),
                                 targets)
    assert cams.shape == (3, *size) and cams.dtype == np.float32
    assert cams.max() > 0.99
    assert all(p.grad is None for p in model.parameters())
    for cam, image, target in zip(cams, images, targets):
        np.testing.assert_allclose(
            cam, _obvious_grad_cam(model, image, target), atol=1e-3)


@pytest.mark.parametrize('backbone', [CNN, VIT])
@pytest.mark.parametrize('method', METHODS)
def test_every_method(method, backbone):
    model = _model(*backbone, csdnet=backbone is CNN)
    images = torch.randn(2, 3, 64, 64)
    layers = _layer(model, images)
    hooks = len(layers[0]._forward_hooks)
    with torch.no_grad():
        targets = model(images).argmax(1).tolist()
    cams = _maps(model, images, layers, targets,
                                 method.lower())
    assert cams.shape == (2, 64, 64) and np.isfinite(cams).all()
    assert cams.min() >= 0 and cams.max() <= 1
    if backbone is CNN:
        assert cams.max() > 0.99
    assert len(layers[0]._forward_hooks) == hooks


def test_grad_cams_of_predicted_classes(monkeypatch):
    model = _model(*CNN)
    items = [dict(inputs=torch.randint(256, (3, 64, 64), dtype=torch.uint8))
             for _ in range(2)]
    images = model.data_preprocessor(
        dict(inputs=[item['inputs'] for item in items]))['inputs']
    layers = _layer(model, images)
    with torch.no_grad():
        targets = model(images).argmax(1).tolist()
    np.testing.assert_allclose(grad_cams(model, items),
                               _maps(model, images, layers, targets))
    monkeypatch.setitem(sys.modules, 'pytorch_grad_cam', None)
    with pytest.warns(UserWarning, match='beside the explanations.*`cam`'):
        assert grad_cams(model, items) is None


@pytest.mark.parametrize('smooth', ['eigen_smooth', 'aug_smooth'])
def test_smoothing(smooth):
    model = _model(*CNN)
    images = torch.randn(1, 3, 96, 96)
    layers = _layer(model, images)
    with torch.no_grad():
        target = model(images).argmax(1).tolist()
    cams = _maps(model, images, layers, target,
                                 **{smooth: True})
    assert cams.shape == (1, 96, 96) and 0 <= cams.min() < cams.max() <= 1.01
    plain = _maps(model, images, layers, target)
    assert np.abs(cams - plain).max() > 0.01


def test_relative_maps_do_not_see_what_all_logits_share():
    model = _model(*CNN)
    images = torch.randn(2, 3, 96, 96)
    layers = _layer(model, images)
    relative = _maps(model, images, layers, [1, 2],
                                     relative=True)
    weight = model.head.cls_head.fc.weight
    with torch.no_grad():
        weight -= 100
    again = _maps(model, images, layers, [1, 2],
                                  relative=True)
    np.testing.assert_allclose(again, relative, atol=1e-3)
    assert relative.max() > 0.99
    assert not _maps(model, images, layers, [1, 2]).any()


def test_rows_are_those_of_single_images():
    model = _model(*CNN)
    items = [
        dict(inputs=torch.randint(0, 255, (3, height, 96)).byte())
        for height in (96, 96, 96, 64)
    ]
    layers = _layer(model, torch.randn(1, 3, 96, 96))
    for targets in ((), (4, 1)):
        rows = cam_rows(model, items, layers, targets, batch_size=2)
        for item, row in zip(items, rows):
            single, = cam_rows(model, [item], layers, targets)
            np.testing.assert_allclose(row.cams, single.cams, atol=1e-3)
            np.testing.assert_allclose(row.scores, single.scores, atol=1e-5)
            assert tuple(row.targets) == (targets or (row.scores.argmax(), ))
            np.testing.assert_array_equal(
                row.image, item['inputs'].permute(1, 2, 0).numpy()[..., ::-1])
            assert row.scores.sum() == pytest.approx(1, abs=1e-4)


def test_panels_name_target_and_prediction():
    model = _model(*CNN)
    items = [dict(inputs=torch.randint(0, 255, (3, 64, 64)).byte())]
    layers = _layer(model, torch.randn(1, 3, 64, 64))
    row, = cam_rows(model, items, layers, [0, 1, 2, 3, 4])
    best = int(row.scores.argmax())
    panels = cam_panels(row, list('abcde'))
    for label, panel in enumerate(panels):
        score = f'({row.scores[label]:.0%})'
        lines = [text for text, _ in panel.captions]
        assert lines[0].endswith(f': {"abcde"[label]} {score}')
        assert lines[-1].startswith(f'predicted: {"abcde"[best]}')
        assert len(lines) == (1 if label == best else 2)
        assert panel.heat is row.cams[label]
    assert 'class 0' in cam_panels(row)[0].captions[0][0]


def test_errors(monkeypatch):
    model = _model(*CNN)
    items = [dict(inputs=torch.zeros(3, 64, 64).byte())]
    layers = _layer(model, torch.randn(1, 3, 64, 64))
    with pytest.raises(ValueError, match="no method 'saliency'.*GradCAM"):
        method_class('saliency')
    with pytest.raises(ValueError, match='--target-category 5.*5 classes'):
        cam_rows(model, items, layers, [5])
    with pytest.raises(ValueError, match='which is no feature map'):
        cam_rows(model, items, [model.head.cls_head.fc], [1])
    monkeypatch.setitem(__import__('sys').modules, 'pytorch_grad_cam', None)
    with pytest.raises(ImportError, match='extra `cam`'):
        method_class('GradCAM')


def test_categories():
    classes = ['oak', 'elm', '0']
    assert find_category('elm', classes) == 1
    assert find_category('0', classes) == 2
    assert find_category('1', classes) == 1
    assert find_category('70', None) == 70
    with pytest.raises(ValueError, match="no class 'oka'.*Close to it: oak"):
        find_category('oka', classes)
    with pytest.raises(ValueError, match='from 0 to 2'):
        find_category('3', classes)
    with pytest.raises(ValueError, match='names of the classes are unknown'):
        find_category('oak', None)
