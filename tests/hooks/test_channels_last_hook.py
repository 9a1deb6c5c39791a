"""Tests of ChannelsLastHook."""
from types import SimpleNamespace

import pytest
import torch
from mmpretrain.registry import MODELS

from csd_mmpretrain.hooks.channels_last_hook import (
    ChannelsLastHook,
    crashes_on_cpus,
)


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


# Without the hook's care, each of these ends the process on some CPUs.
PROGRAM = """
from types import SimpleNamespace
import torch
from torch import nn
from csd_mmpretrain.hooks.channels_last_hook import ChannelsLastHook

SHAPES = {shapes}
for channels, stride, size in SHAPES:
    backbone = nn.Sequential(
        nn.Identity(), nn.Conv2d(channels, 32, 1, stride, bias=False))
    ChannelsLastHook().before_run(
        SimpleNamespace(model=SimpleNamespace(backbone=backbone)))
    for _ in range(15):
        images = torch.randn(4, channels, size, size)
        with torch.autocast('cpu', torch.bfloat16, enabled=channels == 12):
            output = backbone(images)
        output.float().square().mean().backward()
"""


def test_no_shape_crashes_the_process(run_python, tmp_path):
    program = tmp_path / 'program.py'
    program.write_text(PROGRAM.format(shapes=[
        (3, 2, 64), (3, 2, 128), (3, (1, 2), 56), (9, (2, 1), 56),
        (12, 2, 128), (15, 2, 128), (3, 3, 129)]))
    run_python(program)


@pytest.mark.parametrize('backbone, stems', [
    (dict(type='RepVGG', arch='A0'), ['stem.branch_1x1.conv']),
    (dict(type='MobileOne', arch='s0'), ['stage0.branch_scale.conv']),
    (dict(type='ResNet', depth=18), []),
])
def test_stems_of_stock_networks(backbone, stems):
    backbone = MODELS.build(backbone)
    assert [name for name, module in backbone.named_modules()
            if crashes_on_cpus(module)] == stems
    images = torch.randn(2, 3, 64, 64)
    backbone.eval()
    expected = backbone(images)[-1]
    ChannelsLastHook().before_run(
        SimpleNamespace(model=SimpleNamespace(backbone=backbone)))
    found = backbone(images)[-1]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert found.is_contiguous(memory_format=torch.channels_last)
