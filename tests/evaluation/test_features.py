from types import SimpleNamespace

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from csd_mmpretrain.evaluation.features import collect_features


def _model(neck='GlobalAveragePooling', **backbone):
    backbone = backbone or dict(type='MobileNetV2', widen_factor=0.25)
    neck = dict(type=neck) if isinstance(neck, str) else neck
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=backbone,
            neck=neck,
            head=dict(
                type='StackedLinearClsHead',
                num_classes=3,
                in_channels=1280,
                mid_channels=[8])))


def _batches(sizes=(4, 1, 3)):
    batches, label = [], 0
    for size in sizes:
        samples = []
        for _ in range(size):
            samples.append(DataSample().set_gt_label(label))
            label += 1
        batches.append(
            dict(
                inputs=list(
                    torch.randint(0, 255, (size, 3, 32, 32)).byte()),
                data_samples=samples))
    return batches


def test_features_that_are_not_finite():
    batches = _batches()
    batches[1]['inputs'][0] = torch.full((3, 32, 32), float('nan'))
    with pytest.raises(ValueError, match='not finite'):
        collect_features(_model(), batches)


@pytest.mark.parametrize('stage', [None, 'backbone', 'neck', 'pre_logits'])
def test_equals_one_image_at_a_time(stage):
    model, batches = _model().train(), _batches()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    features, labels = collect_features(model, batches, stage)
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert labels.tolist() == list(range(8))
    assert not features.requires_grad

    model.eval()
    images = [image for batch in batches for image in batch['inputs']]
    for feature, image in zip(features, images):
        data = model.data_preprocessor(dict(inputs=[image]))
        x = model.backbone(data['inputs'])[-1]
        expected = x.flatten(2).mean(2)[0]
        if stage == 'pre_logits':
            expected = model.head.pre_logits((expected[None], ))[0]
        torch.testing.assert_close(feature, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('output, neck, expected', [
    (torch.arange(24.).view(1, 6, 4), None, [10, 11, 12, 13]),
    ((torch.zeros(1, 2), torch.arange(3.)[None]), None, [0, 1, 2]),
    (torch.arange(8.).view(1, 2, 2, 2),
     dict(type='SSDPNeck', in_channels=2, layout='nhwc'), [3, 4]),
])
def test_pools_what_the_backbone_gives(output, neck, expected):
    model = _model(neck)
    model.backbone = nn.Module()
    model.backbone.forward = lambda images: output
    features, _ = collect_features(model, _batches([1]), 'backbone')
    assert features.tolist() == [expected]


@pytest.mark.parametrize('layout, prefix, output, expected', [
    ('nchw', 0, torch.arange(8.).view(1, 2, 2, 2), [1.5, 5.5]),
    ('nhwc', 0, torch.arange(8.).view(1, 2, 2, 2), [3, 4]),
    ('tokens', 0, torch.arange(6.).view(1, 3, 2), [2, 3]),
    ('tokens', 1, torch.arange(6.).view(1, 3, 2), [0, 1]),
])
def test_pools_as_a_self_supervised_model_says(layout, prefix, output,
                                               expected):
    model = MODELS.build(
        dict(
            type='CMD',
            data_preprocessor=dict(type='SelfSupDataPreprocessor'),
            backbone=dict(type='MobileNetV2', widen_factor=0.25),
            neck=dict(type='CMDNeck', in_channels=2, num_prototypes=4),
            head=dict(
                type='CMDHead', num_prototypes=4, image_weight=1.,
                region_weight=0., inter_weight=0.),
            layout=layout,
            num_prefix_tokens=prefix))
    model.extract_feat = lambda images: (output, )
    features, _ = collect_features(model, _batches([1]))
    assert features.tolist() == [expected]


@pytest.mark.parametrize('class_token, prefix, expected', [
    (None, 0, [2, 3]),
    (None, 1, [3, 4]),
    (torch.zeros(2), 1, [0, 1]),
    (torch.zeros(2), 2, [0, 1]),
])
def test_registers_of_timm_are_no_class_tokens(class_token, prefix, expected):
    model = _model(None)
    model.backbone = nn.Module()
    model.backbone.timm_model = SimpleNamespace(
        cls_token=class_token, num_prefix_tokens=prefix)
    model.backbone.forward = lambda images: torch.arange(6.).view(1, 3, 2)
    features, _ = collect_features(model, _batches([1]), 'backbone')
    assert features.tolist() == [expected]


def test_errors():
    model = _model()
    with pytest.raises(ValueError, match='gives no batch'):
        collect_features(model, [])
    batch, = _batches([1])
    batch['data_samples'] = [DataSample()]
    with pytest.raises(ValueError, match='no label'):
        collect_features(model, [batch])
    batch['data_samples'] = [DataSample().set_gt_label([0, 1])]
    with pytest.raises(ValueError, match='2 labels'):
        collect_features(model, [batch])
    assert model.training
