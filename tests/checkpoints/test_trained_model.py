"""Models with the weights of a file."""
import pytest
import torch
from mmengine.config import Config

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.checkpoints.trained_model import load_model


@pytest.fixture
def cfg():
    return Config(dict(model=dict(
        type='ImageClassifier',
        backbone=dict(type='MobileNetV2', widen_factor=0.25),
        neck=dict(type='SSDPNeck', in_channels=1280, kernel='conv'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=1280))))


def save(cfg, path, prefix='', leave_out='nothing'):
    state = build_bare_model(cfg).state_dict()
    torch.save(dict(state_dict={
        prefix + name: value for name, value in state.items()
        if not name.startswith(leave_out)}), path)
    return state


def test_the_config_is_left_as_it_is(cfg):
    cfg.model.train_cfg = dict(augments=dict(type='Mixup', alpha=0.8))
    cfg.data_preprocessor = dict(mean=[0.] * 3, std=[1.] * 3)
    before = cfg.pretty_text
    build_bare_model(cfg)
    assert cfg.pretty_text == before


def test_names_of_a_wrapper_are_understood(cfg, tmp_path):
    state = save(cfg, tmp_path / 'a.pth', prefix='module.')
    loaded = load_model(cfg, str(tmp_path / 'a.pth'))
    assert loaded.has_classifier
    for name, value in loaded.model.state_dict().items():
        assert value.equal(state[name]), name


def test_a_neck_without_weights_is_no_features(cfg, tmp_path):
    path = str(tmp_path / 'a.pth')
    save(cfg, path, leave_out='neck')
    with pytest.raises(ValueError, match='weights of the neck SSDPNeck.*conv'):
        load_model(cfg, path)
    load_model(cfg, path, stage='backbone')
    cfg.model.neck.kernel = 'gap'
    load_model(cfg, path)


@pytest.mark.parametrize('slots', [
    dict(contrast='contrast', distill='distill'),
    dict(contrast='ddl', distill='ssdt')], ids=['new', 'old'])
def test_the_queue_of_the_training_may_have_another_length(
        cfg, tmp_path, slots):
    """Also under the names that CSDHead's slots had once."""
    def csdnet(length):
        cfg.model.head = dict(
            type='CSDHead',
            cls_head=dict(
                type='LinearClsHead', num_classes=3, in_channels=1280),
            contrast=dict(
                type='DDLQueueLoss', feat_dim=1280, queue_len=length),
            distill=dict(type='SSDTLoss'))
        return cfg

    state = build_bare_model(csdnet(8)).state_dict()
    for ours, theirs in slots.items():
        state = {name.replace(f'head.{ours}.', f'head.{theirs}.'): value
                 for name, value in state.items()}
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict=state), path)
    loaded = load_model(csdnet(5), str(path))
    assert loaded.has_classifier
    for name, value in loaded.model.head.cls_head.state_dict().items():
        assert value.equal(state[f'head.cls_head.{name}']), name


def test_a_head_for_other_classes_predicts_nothing(cfg, tmp_path):
    path = str(tmp_path / 'a.pth')
    state = save(cfg, path)
    cfg.model.head.num_classes = 4
    loaded = load_model(cfg, path)
    assert not loaded.has_classifier and loaded.classes is None
    for name, value in loaded.model.backbone.state_dict().items():
        assert value.equal(state[f'backbone.{name}']), name


@pytest.mark.parametrize('name', ['backbone.conv1.bn.running_var',
                                  'head.fc.bias'])
def test_weights_that_are_not_finite_are_refused(name, cfg, tmp_path):
    path = str(tmp_path / 'a.pth')
    state = save(cfg, path)
    state[name][1] = float('nan')
    torch.save(dict(state_dict=state), path)
    with pytest.raises(ValueError, match=f'a.pth: 1 of its .* finite: {name}'):
        load_model(cfg, path)


def test_another_backbone_is_refused(cfg, tmp_path):
    path = str(tmp_path / 'a.pth')
    save(cfg, path)
    cfg.model.backbone.widen_factor = 0.5
    with pytest.raises(ValueError, match='does not fit the config.*size mis'):
        load_model(cfg, path)
