"""Tests of SSDPHook on stock classifiers."""
from types import SimpleNamespace

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from csd_mmpretrain.engine.hooks import SSDPHook
from csd_mmpretrain.models.views import DiscrepancyMaskView

CLASSES = 5


def classifier(neck='SSDPNeck', csd=True):
    neck = dict(type=neck)
    if neck['type'] == 'SSDPNeck':
        neck['in_channels'] = 1280
    head = dict(type='LinearClsHead', num_classes=CLASSES, in_channels=1280)
    if csd:
        head = dict(type='CSDHead', cls_head=head)
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='MobileNetV2'),
            neck=neck,
            head=head))
    model.train()
    return model


def batch(n=3, size=64):
    labels = [i % CLASSES for i in range(n)]
    return torch.randn(n, 3, size, size), [
        DataSample().set_gt_label(label) for label in labels
    ]


def attach(model, **kwargs):
    hook = SSDPHook(**kwargs)
    runner = SimpleNamespace(model=model)
    hook.before_train(runner)
    return hook, runner


class RecordingView:
    """Half the images; remembers what it was given."""
    needs_pattern_map = True

    def __call__(self, images, pattern, labels):
        self.pattern, self.labels = pattern, labels
        return images / 2, images.new_full((len(images), ), 0.5)


def test_features_are_raw_then_augmented():
    model = classifier()
    model.eval()
    images, samples = batch()
    view = RecordingView()
    hook, _ = attach(model, view=view)
    seen = []
    model.neck.register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    with torch.no_grad():
        expected = [model.backbone(x)[-1] for x in (images, images / 2)]
        model.training = True
        losses = model(images, samples, mode='loss')
    torch.testing.assert_close(seen[0][-1], torch.cat(expected))
    torch.testing.assert_close(view.pattern,
                               model.neck.pattern_map((expected[0], )))
    assert view.labels.tolist() == [0, 1, 2]
    assert set(losses) == {'loss_cls', 'loss_cls_aug'}


def test_both_passes_have_gradient_and_the_mask_has_none():
    model = classifier()
    images, samples = batch()
    images.requires_grad_()
    view = RecordingView()
    attach(model, view=view)
    losses = model(images, samples, mode='loss')
    assert not view.pattern.requires_grad
    raw, = torch.autograd.grad(losses['loss_cls'], images, retain_graph=True)
    aug, = torch.autograd.grad(losses['loss_cls_aug'], images)
    assert raw.abs().sum() > 0 and aug.abs().sum() > 0


@pytest.mark.parametrize('mode', ['tensor', 'predict'])
@pytest.mark.parametrize('training', [True, False])
def test_does_nothing_outside_the_loss(mode, training):
    model = classifier()
    model.train(training)
    attach(model)
    calls = []
    model.backbone.register_forward_hook(lambda *_: calls.append(1))
    images, samples = batch()
    out = model(images, samples, mode=mode)
    assert len(calls) == 1 and len(out) == 3


def test_does_nothing_to_the_loss_in_eval_and_to_a_lone_backbone():
    model = classifier()
    attach(model)
    images, samples = batch()
    assert len(model.backbone(images)[-1]) == 3
    model.eval()
    assert set(model(images, samples, mode='loss')) == {'loss_cls'}


def test_is_off_after_a_failed_step():
    model = classifier()
    hook, _ = attach(model)
    images, samples = batch()
    with pytest.raises(AttributeError):
        model(images, [1, 2, 3], mode='loss')
    assert len(model.backbone(images)[-1]) == 3


def test_logs_the_kept_share_and_leaves_after_training():
    model = classifier()
    hook, runner = attach(model, view=RecordingView())
    images, samples = batch()
    model(images, samples, mode='loss')
    outputs = dict(loss=torch.ones(()))
    hook.after_train_iter(runner, 0, outputs=outputs)
    assert outputs['ssdp_area'] == 0.5
    hook.after_train(runner)
    assert set(model(images, samples, mode='loss')) == {'loss_cls'}


def test_disabled_is_the_plain_classifier():
    model = classifier('GlobalAveragePooling', csd=False)
    hook, runner = attach(model, enabled=False)
    images, samples = batch()
    assert set(model(images, samples, mode='loss')) == {'loss'}
    outputs = dict()
    hook.after_train_iter(runner, 0, outputs=outputs)
    hook.after_train(runner)
    assert not outputs


def test_inputs_by_keyword_work_too():
    model = classifier()
    attach(model)
    images, samples = batch()
    losses = model(inputs=images, data_samples=samples, mode='loss')
    assert 'loss_cls_aug' in losses
    assert 'loss_cls_aug' in model(images, samples, 'loss')


def test_default_view_is_the_discrepancy_mask():
    assert isinstance(SSDPHook().view, DiscrepancyMaskView)


def test_needs_a_csd_head():
    with pytest.raises(TypeError, match='LinearClsHead.*CSDHead'):
        attach(classifier(csd=False))


def test_needs_a_neck_with_a_pattern_map_only_where_the_view_does():
    model = classifier('GlobalAveragePooling')
    with pytest.raises(TypeError, match='GlobalAveragePooling.*SSDPNeck'):
        attach(model)
    attach(model, view=dict(type='EraseShuffleView'))
    images, samples = batch()
    assert 'loss_cls_aug' in model(images, samples, mode='loss')


@pytest.mark.parametrize('norm, passes', [('shared', 2), ('batch', 1),
                                          ('frozen', 1)])
def test_norm_says_which_passes_count_for_the_statistics(norm, passes):
    model = classifier()
    images, samples = batch()
    attach(model, view=RecordingView(), norm=norm)
    statistics = model.backbone.conv1.bn
    assert statistics.num_batches_tracked == 0
    sum(model(images, samples, mode='loss').values()).backward()
    assert statistics.num_batches_tracked == passes
    assert statistics.weight.grad.abs().sum() > 0


def test_unknown_norm():
    with pytest.raises(ValueError, match="norm='none'.*shared, batch, frozen"):
        SSDPHook(norm='none')
