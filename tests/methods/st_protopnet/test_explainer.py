"""Explanations of a trained model: what they show, and what adds up."""
import copy

import numpy as np
import pytest
import torch
from noise_images import write_noise_images
from prototype_runs import CLASSES, EPOCHS, config, runner
from torch.testing import assert_close

from csd_mmpretrain.methods.st_protopnet.explainer import (
    PrototypeExplainer,
    class_heat,
)
from csd_mmpretrain.methods.st_protopnet.prototype_hook import RECORD
from csd_mmpretrain.visualization.activation_box import min_max


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A short training: its config, folder and photos."""
    images = write_noise_images(tmp_path_factory.mktemp('images'), 3,
                                classes=CLASSES)
    work_dir = tmp_path_factory.mktemp('run')
    trained = runner(images, work_dir)
    trained.train()
    return config(images, work_dir), work_dir, images


@pytest.fixture(scope='module')
def explainer(run):
    return PrototypeExplainer(run[0], str(run[1] / f'epoch_{EPOCHS}.pth'))


@pytest.mark.parametrize('num', [1, 2 * CLASSES])
def test_points_add_up_to_the_logit(explainer, run, num):
    info = dict(img_path=str(run[2] / 'class1/0.png'), gt_label=1)
    found = explainer.explain(info, num=num)
    model = explainer.model
    with torch.no_grad():
        logits = model(explainer.photo(info).inputs[None], mode='tensor')[0]
    assert found.class_name == f'class{int(logits.argmax())}'
    assert found.true_class == 'class1'
    assert_close(found.logit, float(logits.max()))
    assert_close(found.score, float(logits.softmax(0).max()))
    points = [reason.points for reason in found.reasons]
    assert len(points) == 2 * num and points == sorted(points)[::-1]
    assert sum(points) + found.rest == pytest.approx(found.logit)
    if num > 1:  # all reasons
        assert abs(found.rest) < 1e-5
    for reason in found.reasons:
        assert reason.points == pytest.approx(
            reason.similarity * reason.weight)


def test_another_class_is_explained(explainer, run):
    info = dict(img_path=str(run[2] / 'class0/1.png'))
    found = explainer.explain(info, label=2, num=1)
    with torch.no_grad():
        logits = explainer.model(
            explainer.photo(info).inputs[None], mode='tensor')[0]
    assert found.class_name == 'class2' and found.true_class == ''
    assert_close(found.logit, float(logits[2]))


def test_prototypes_are_shown_where_they_are_from(explainer, run):
    for label in range(CLASSES):
        patches, captions = explainer.class_prototypes(label)
        assert captions == [f'{name} {2 * label + i}'
                            for name in ('trivial', 'support')
                            for i in (0, 1)]
        for patch in patches:
            assert f'class{label}/' in patch.source
            assert patch.class_name == f'class{label}'
            left, top, right, bottom = patch.box
            assert 0 <= left < right <= 64 and 0 <= top < bottom <= 64
            y, x = np.unravel_index(patch.heat.argmax(), patch.heat.shape)
            assert left <= x < right and top <= y < bottom


def test_unpushed_prototypes_are_refused(run, tmp_path):
    """Before the first push, and in a joint epoch after one."""
    cfg, work_dir, _ = run
    with pytest.raises(ValueError, match='saved before a push, or trained'):
        PrototypeExplainer(cfg, str(work_dir / 'epoch_1.pth'))
    for epoch in (2, 3, 4):
        PrototypeExplainer(cfg, str(work_dir / f'epoch_{epoch}.pth'))
    content = torch.load(work_dir / 'epoch_2.pth')
    del content['meta'][RECORD]
    torch.save(content, tmp_path / 'published.pth')
    with pytest.raises(ValueError, match='no parts of training photos'):
        PrototypeExplainer(cfg, str(tmp_path / 'published.pth'))


def test_another_head_is_refused(run):
    cfg = copy.deepcopy(run[0])
    cfg.model.head.num_prototypes = 3
    with pytest.raises(ValueError, match='no head that fits'):
        PrototypeExplainer(cfg, str(run[1] / 'epoch_2.pth'))
    cfg.model.head = dict(
        type='LinearClsHead', num_classes=CLASSES, in_channels=64)
    cfg.model.neck = dict(type='GlobalAveragePooling')
    with pytest.raises(TypeError, match='the head is LinearClsHead'):
        PrototypeExplainer(cfg, str(run[1] / 'epoch_2.pth'))


def test_changed_photos_and_pipelines_are_told(run, tmp_path):
    cfg, work_dir, _ = copy.deepcopy(run)
    checkpoint = str(work_dir / f'epoch_{EPOCHS}.pth')
    cfg.test_dataloader.dataset.pipeline[1].scale = 48
    with pytest.raises(ValueError, match='is not the prototype 0 of the'):
        PrototypeExplainer(cfg, checkpoint).prototype('support', 0)
    cfg = copy.deepcopy(run[0])
    for label in range(CLASSES):
        (tmp_path / f'class{label}').mkdir()
        (run[2] / f'class{label}/0.png').rename(
            tmp_path / f'class{label}/0.png')
    try:
        explainer = PrototypeExplainer(cfg, checkpoint)
        with pytest.raises(ValueError, match="none of the config's training"):
            for name in ('trivial', 'support'):
                for j in range(2 * CLASSES):
                    explainer.prototype(name, j)
    finally:
        for label in range(CLASSES):
            (tmp_path / f'class{label}/0.png').rename(
                run[2] / f'class{label}/0.png')


def test_heat_of_a_class_is_the_published_one(oracle):
    numbers = oracle('st_protopnet/localisation')
    found = class_heat(numbers['trivial_similarity'],
                       numbers['support_similarity'],
                       numbers['mask'].shape)
    np.testing.assert_allclose(found, numbers['heatmap'], atol=1e-5)
    constant = np.full((2, 3, 3), 0.3)
    assert not class_heat(constant, constant, (224, 224)).any()
    assert min_max(found).max() == 1


@pytest.mark.parametrize('change', [
    dict(trivial=None), dict(trivial=dict(file=['a.png'], cell=[(0, 0)])),
    dict(support=3), dict(cell=[(-1, 0)]), dict(cell=['00']),
    dict(file=[['a.png']])])
def test_a_record_that_does_not_fit_is_refused(run, tmp_path, change):
    content = torch.load(run[1] / f'epoch_{EPOCHS}.pth')
    sources = content['meta']['st_protopnet']['sources']
    for name, value in change.items():
        if name in sources:
            sources[name] = value
        else:
            sources['trivial'][name] = value * len(sources['trivial'][name])
    torch.save(content, tmp_path / 'odd.pth')
    with pytest.raises(ValueError, match='does not fit its head'):
        PrototypeExplainer(run[0], str(tmp_path / 'odd.pth'))
