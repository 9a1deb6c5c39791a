import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.methods.csdnet.discrepancy_mask_view import (
    MODES,
    DiscrepancyMaskView,
    discrepancy_mask,
)
from csd_mmpretrain.methods.csdnet.figures.ssdp_rows import ssdp_rows
from csd_mmpretrain.methods.csdnet.figures.ssdp_views import (
    choose_views,
    config_view,
)
from csd_mmpretrain.methods.csdnet.ssdp_neck import gate_weights
from csd_mmpretrain.methods.peers.random_views import (
    EraseShuffleView,
    FreshAugmentView,
)

MEAN, STD = [100., 110., 120.], [50., 60., 70.]


def make_model(to_rgb=True, neck=None, **options):
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='MobileNetV2', widen_factor=0.25),
            neck=neck or dict(type='SSDPNeck', in_channels=1280, **options),
            head=dict(
                type='CSDHead',
                cls_head=dict(
                    type='LinearClsHead', num_classes=5, in_channels=1280)),
            data_preprocessor=dict(mean=MEAN, std=STD, to_rgb=to_rgb)))


def make_batch(labels=(3, 1)):
    samples = [DataSample() for _ in labels]
    for sample, label in zip(samples, labels):
        if label is not None:
            sample.set_gt_label(label)
    return [
        dict(
            inputs=torch.randint(256, (3, 64, 96), dtype=torch.uint8),
            data_samples=sample) for sample in samples
    ]


def keep(**options):
    return dict(keep=DiscrepancyMaskView(**options))


@pytest.mark.parametrize('to_rgb', [True, False])
def test_the_image_comes_back_in_rgb(to_rgb):
    batch = make_batch()
    for row, item in zip(ssdp_rows(make_model(to_rgb), batch, keep()), batch):
        bgr = item['inputs'].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(row.image, bgr[..., ::-1])


def test_keep_shows_the_image_under_the_mask():
    for row in ssdp_rows(make_model(), make_batch(), keep()):
        assert row.pattern.shape == (2, 3)
        assert row.mask.shape == (64, 96) and row.mask.dtype == bool
        assert 0.1 <= row.mask.mean() <= 0.9
        expected = np.where(row.mask[..., None], row.image, np.uint8(MEAN))
        np.testing.assert_array_equal(row.seconds['keep'], expected)


def test_the_mask_is_that_of_the_view():
    views = keep(threshold=0.7, area=(0.05, 0.95))
    for row in ssdp_rows(make_model(), make_batch(), views):
        expected = discrepancy_mask(
            torch.from_numpy(row.pattern)[None], (64, 96), 0.7, (0.05, 0.95))
        np.testing.assert_array_equal(row.mask, expected[0])


@pytest.mark.parametrize('gating', ['multiply', 'standardised', 'residual',
                                    'none'])
def test_the_gate_is_that_of_the_neck(gating):
    model = make_model(gating=gating)
    for row in ssdp_rows(model, make_batch(), keep()):
        if gating == 'none':
            assert row.gate is None
            continue
        expected = gate_weights(torch.from_numpy(row.pattern)[None], gating)
        np.testing.assert_allclose(row.gate, expected[0], rtol=1e-5)


def test_several_views_are_those_drawn_one_by_one():
    model, batch = make_model(), make_batch()
    view = DiscrepancyMaskView('crop', threshold=0.6, area=(0.2, 0.8))
    together = ssdp_rows(model, batch, choose_views(view, ['all']))
    assert list(together[0].seconds) == list(MODES)
    for mode in MODES:
        alone = ssdp_rows(model, batch, dict(v=DiscrepancyMaskView(
            mode, threshold=0.6, area=(0.2, 0.8))))
        for row, one in zip(together, alone):
            np.testing.assert_array_equal(row.seconds[mode], one.seconds['v'])
            assert row.predictions[1 + MODES.index(mode)] == (
                one.predictions[1])
            assert (one.mask.dtype == bool) == (mode != 'soft')
            if mode != 'soft':
                np.testing.assert_array_equal(row.mask, one.mask)


def test_predictions_are_the_best_of_the_softmax():
    model, batch = make_model(), make_batch()
    rows = ssdp_rows(model, batch, keep())
    data = model.data_preprocessor(dict(
        inputs=[item['inputs'] for item in batch]))
    images = data['inputs']
    pattern = model.neck.pattern_map(model.backbone(images))
    second, _ = DiscrepancyMaskView()(images, pattern)
    for i, row in enumerate(rows):
        for inputs, best in zip((images, second), row.predictions):
            scores = model(inputs).softmax(1)[i].detach()
            for label, score in best:
                assert score == pytest.approx(scores[label].item(), abs=1e-5)
            assert [s for _, s in best] == sorted(
                (s for _, s in best), reverse=True)
            assert best[0][1] == pytest.approx(scores.max().item(), abs=1e-5)
            assert len(best) == 3


@pytest.mark.parametrize('labels', [(3, 1), (None, None)])
def test_labels_and_batches(labels):
    model, batch = make_model(), make_batch(labels)
    rows = ssdp_rows(model, batch, keep(), has_classifier=False)
    assert tuple(row.gt_label for row in rows) == labels
    assert all(row.predictions is None for row in rows)
    for row, item in zip(rows, batch):
        one, = ssdp_rows(model, [item], keep())
        np.testing.assert_allclose(row.pattern, one.pattern, rtol=1e-4)


@pytest.mark.parametrize('view', [EraseShuffleView(), FreshAugmentView()])
def test_views_without_a_mask_show_what_there_is(view):
    views = choose_views(view)
    name, = views
    assert name == type(view).__name__
    for neck in (None, dict(type='GlobalAveragePooling')):
        for row in ssdp_rows(make_model(neck=neck), make_batch(), views):
            assert (row.seconds[name] != row.image).any()
            assert row.mask is None
            assert (row.pattern is None) == (row.gate is None) == (
                neck is not None)


def test_a_neck_without_a_pattern_map_is_refused():
    model = make_model(neck=dict(type='GlobalAveragePooling'))
    with pytest.raises(TypeError, match='GlobalAveragePooling.*SSDPNeck'):
        ssdp_rows(model, make_batch(), keep())


def test_the_views_of_a_config():
    view = dict(type='DiscrepancyMaskView', mode='soft', area=(0.2, 0.5))
    cfg = Config(
        dict(default_hooks=dict(ssdp=dict(type='SSDPHook', view=view))))
    assert config_view(cfg).mode == 'soft'
    assert config_view(Config(dict())).mode == 'keep'
    custom = Config(dict(custom_hooks=[dict(type='EMAHook'), dict(
        type='mmpretrain.SSDPHook',
        view=dict(type='DiscrepancyMaskView', mode='crop'))]))
    assert config_view(custom).mode == 'crop'
    chosen = choose_views(config_view(cfg), ['erase', 'keep'])
    assert [view.mode for view in chosen.values()] == ['erase', 'keep']
    assert {view.area for view in chosen.values()} == {(0.2, 0.5)}
    with pytest.raises(ValueError, match="mode='erode'"):
        choose_views(config_view(cfg), ['erode'])
