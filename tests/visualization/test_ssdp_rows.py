import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.models.views import DiscrepancyMaskView
from csd_mmpretrain.models.views.discrepancy_mask_view import discrepancy_mask
from csd_mmpretrain.visualization import SSDPRow, ssdp_rows
from csd_mmpretrain.visualization.ssdp_rows import row_title

MEAN, STD = [100., 110., 120.], [50., 60., 70.]


def make_model(to_rgb=True, neck=None):
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='MobileNetV2', widen_factor=0.25),
            neck=neck or dict(type='SSDPNeck', in_channels=1280),
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


@pytest.mark.parametrize('to_rgb', [True, False])
def test_the_image_comes_back_in_rgb(to_rgb):
    batch = make_batch()
    for row, item in zip(
            ssdp_rows(make_model(to_rgb), batch, DiscrepancyMaskView()),
            batch):
        bgr = item['inputs'].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(row.image, bgr[..., ::-1])


def test_keep_shows_the_image_under_the_mask():
    for row in ssdp_rows(make_model(), make_batch(), DiscrepancyMaskView()):
        assert row.pattern.shape == (2, 3)
        assert row.mask.shape == (64, 96) and row.mask.dtype == bool
        assert 0.1 <= row.mask.mean() <= 0.9
        expected = np.where(row.mask[..., None], row.image, np.uint8(MEAN))
        np.testing.assert_array_equal(row.second, expected)


def test_the_mask_is_that_of_the_view():
    model, batch = make_model(), make_batch()
    view = DiscrepancyMaskView(threshold=0.7, area=(0.05, 0.95))
    for row in ssdp_rows(model, batch, view):
        expected = discrepancy_mask(
            torch.from_numpy(row.pattern)[None], (64, 96), 0.7, (0.05, 0.95))
        np.testing.assert_array_equal(row.mask, expected[0])


@pytest.mark.parametrize('mode', ['erase', 'crop', 'soft'])
def test_other_modes(mode):
    rows = ssdp_rows(make_model(), make_batch(), DiscrepancyMaskView(mode))
    for row in rows:
        assert (row.mask.dtype == bool) == (mode != 'soft')
        assert (row.second != row.image).any()


@pytest.mark.parametrize('labels', [(3, 1), (None, None)])
def test_labels_and_scores(labels):
    rows = ssdp_rows(make_model(), make_batch(labels), DiscrepancyMaskView())
    assert tuple(row.gt_label for row in rows) == labels
    assert all(0 <= row.pred_label < 5 for row in rows)
    assert all(0.2 <= row.pred_score <= 1 for row in rows)


def test_a_neck_without_a_pattern_map_is_refused():
    model = make_model(neck=dict(type='GlobalAveragePooling'))
    with pytest.raises(TypeError, match='GlobalAveragePooling.*SSDPNeck'):
        ssdp_rows(model, make_batch(), DiscrepancyMaskView())


def test_titles():
    row = SSDPRow(None, None, None, None, 1, 0.826, 0)
    assert row_title(row, ['pear', 'kiwi']) == (
        'true: pear     predicted: kiwi (83%)')
    assert row_title(row, None, has_classifier=False) == 'true: class 0'
    assert row_title(row._replace(gt_label=None), has_classifier=False) == ''
