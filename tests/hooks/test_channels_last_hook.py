"""Tests of ChannelsLastHook."""
from types import SimpleNamespace

import torch
from mmpretrain.registry import MODELS

from csd_mmpretrain.hooks.channels_last_hook import ChannelsLastHook


def test_same_numbers_in_another_format():
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='MobileNetV2', widen_factor=0.25),
            neck=dict(type='SSDPNeck', in_channels=1280)))
    model.eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model(images)[0]
        hook, runner = ChannelsLastHook(), SimpleNamespace(model=model)
        hook.before_run(runner)
        feature_map = model.extract_feat(images, stage='backbone')[-1]
        torch.testing.assert_close(model(images)[0], expected)
    assert feature_map.is_contiguous(memory_format=torch.channels_last)
    assert all(weight.is_contiguous() for weight in model.parameters())
    hook.after_run(runner)
    feature_map = model.extract_feat(images, stage='backbone')[-1]
    assert feature_map.is_contiguous()
