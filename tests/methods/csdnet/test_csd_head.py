"""Tests of CSDHead: its contract with stock heads, checkpoints and hooks."""
import copy
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from mmpretrain.engine.hooks import SetAdaptiveMarginsHook, SwitchRecipeHook
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from csd_mmpretrain.methods.csdnet.csd_head import CSDHead

CHANNELS, CLASSES, BATCH = 8, 5, 4
LINEAR = dict(
    type='LinearClsHead', num_classes=CLASSES, in_channels=CHANNELS)
DDL = dict(type='DDLQueueLoss', feat_dim=CHANNELS, queue_len=6)
SSDT = dict(type='SSDTLoss')
FITTING = [
    LINEAR,
    dict(LINEAR, type='StackedLinearClsHead', mid_channels=[7]),
    dict(LINEAR, type='ArcFaceClsHead'),
    dict(LINEAR, type='BoundedArcFaceClsHead'),
    dict(LINEAR, type='VisionTransformerClsHead'),
    dict(LINEAR, type='VisionTransformerClsHead', hidden_dim=6),
    dict(LINEAR, type='EfficientFormerClsHead', distillation=False),
    dict(LINEAR, type='LeViTClsHead', distillation=False),
]
REFUSED = [
    (dict(LINEAR, type='DeiTClsHead'), 'DeiTClsHead'),
    (dict(LINEAR, type='ConformerHead', in_channels=[8, 8]), 'ConformerHead'),
    (dict(LINEAR, type='CSRAClsHead', num_heads=1, lam=0.1), 'CSRAClsHead'),
    (dict(LINEAR, type='MultiLabelLinearClsHead'), 'MultiLabelLinearClsHead'),
    (dict(type='MultiTaskHead', task_heads=dict(a=LINEAR)), 'MultiTaskHead'),
    (dict(LINEAR, type='EfficientFormerClsHead'), 'distillation'),
    (dict(LINEAR, type='LeViTClsHead'), 'distillation'),
    (dict(type='VigClsHead', num_classes=5, in_channels=8), 'VigClsHead'),
]


def samples(labels=(0, 0, 1, 2)):
    return [DataSample().set_gt_label(label) for label in labels]


def build(cls_head=LINEAR, **kwargs):
    return CSDHead(copy.deepcopy(cls_head), **kwargs)


@pytest.mark.parametrize('cls_head', FITTING, ids=lambda c: c['type'])
def test_fitting_heads_train_and_predict(cls_head):
    head = build(cls_head, contrast=DDL, distill=SSDT)
    feats = torch.randn(2 * BATCH, CHANNELS, requires_grad=True)
    losses = head.loss((feats, ), samples())
    assert set(losses) == {
        'loss_cls', 'loss_cls_aug', 'loss_qc', 'ddl_positives', 'loss_ssdt'
    }
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert feats.grad.abs().sum() > 0
    head.eval()
    inner = head.cls_head
    assert torch.equal(head((feats, )), inner((feats, )))
    assert torch.equal(head.pre_logits((feats, )), inner.pre_logits((feats, )))
    assert head.predict((feats, ))[0].pred_score.shape == (CLASSES, )


@pytest.mark.parametrize('norm', ['batch', 'frozen', 'shared'])
def test_batch_norm_of_the_inner_head(norm):
    """Its statistics are of the raw view alone, unless they are shared."""
    cls_head = dict(LINEAR, type='LeViTClsHead', distillation=False)
    head, raw = build(cls_head), build(cls_head)
    raw.load_state_dict(head.state_dict())
    head.view_norm = norm
    feats = torch.randn(2 * BATCH, CHANNELS)
    head.loss((feats, ), samples())
    raw.loss((feats[:BATCH], ), samples())
    same = all(
        torch.equal(value, raw.state_dict()[name])
        for name, value in head.state_dict().items() if 'running' in name)
    assert same == (norm != 'shared')
    assert all(m.training for m in head.modules())


@pytest.mark.parametrize('cls_head, name', REFUSED, ids=lambda c: str(c)[:40])
def test_other_heads_are_refused_by_name(cls_head, name):
    with pytest.raises(TypeError, match=f'{name}.*Use LinearClsHead'):
        build(cls_head)


def test_one_view_is_the_stock_head():
    head = build(dict(LINEAR, cal_acc=True))
    feats = (torch.randn(BATCH, CHANNELS), )
    stock = head.cls_head.loss(feats, samples())
    ours = head.loss(feats, samples())
    assert torch.equal(ours['loss_cls'], stock['loss'])
    assert ours['accuracy_top-1'] == stock['accuracy_top-1']


def test_two_views_are_two_stock_losses():
    head = build(aug_loss_weight=0.75)
    feats = torch.randn(2 * BATCH, CHANNELS)
    losses = head.loss((feats, ), samples())
    raw, aug = (head.cls_head.loss((half, ), samples())['loss']
                for half in feats.chunk(2))
    torch.testing.assert_close(losses['loss_cls'], raw)
    torch.testing.assert_close(losses['loss_cls_aug'], 0.75 * aug)


def test_weight_zero_leaves_the_augmented_loss_out():
    head = build(aug_loss_weight=0)
    losses = head.loss((torch.randn(2 * BATCH, CHANNELS), ), samples())
    assert set(losses) == {'loss_cls'}


def test_parts_get_the_views_in_order():
    head = build(contrast=DDL, distill=dict(SSDT, direction='raw2aug'))
    feats = torch.randn(2 * BATCH, CHANNELS)
    twin = copy.deepcopy(head)
    losses = head.loss((feats, ), samples())
    labels = torch.tensor([0, 0, 1, 2])
    expected = twin.contrast(feats.view(2, BATCH, CHANNELS), labels)
    expected.update(twin.distill(*twin.cls_head((feats, )).chunk(2)))
    for key, value in expected.items():
        torch.testing.assert_close(losses[key], value)


def test_arcface_logits_are_distilled_at_unit_scale_without_margin():
    head = build(dict(LINEAR, type='ArcFaceClsHead', scale=64.), distill=SSDT)
    feats = torch.randn(2 * BATCH, CHANNELS)
    cosines = head.cls_head.norm_product(feats)
    expected = head.distill(*cosines.chunk(2))['loss_ssdt']
    torch.testing.assert_close(
        head.loss((feats, ), samples())['loss_ssdt'], expected)


def test_ssdt_with_one_view_names_the_hook():
    with pytest.raises(ValueError, match='SSDPHook'):
        build(distill=SSDT).loss((torch.randn(BATCH, CHANNELS), ), samples())


def test_other_numbers_of_features_are_refused():
    with pytest.raises(ValueError, match='12 features for 4 images'):
        build().loss((torch.randn(3 * BATCH, CHANNELS), ), samples())


def test_prototypes_of_other_classes_are_refused():
    with pytest.raises(ValueError, match='contrast.num_classes=4.*has 5'):
        build(contrast=dict(DDL, type='PrototypeQueueLoss', num_classes=4))


def test_mixed_labels_with_ddl_are_refused():
    mixed = [s.set_gt_score(torch.rand(CLASSES)) for s in samples()]
    feats = (torch.randn(2 * BATCH, CHANNELS), )
    with pytest.raises(ValueError, match='model.train_cfg=None'):
        build(contrast=DDL).loss(feats, mixed)
    assert build(distill=SSDT).loss(feats, mixed)['loss_cls'].isfinite()


def test_own_images_are_known_by_their_place_in_the_dataset():
    head = build(contrast=dict(DDL, own_image=False))
    batch = samples()
    feats = (torch.rand(len(batch), CHANNELS), )
    with pytest.raises(ValueError, match="'img_path'.*meta_keys"):
        head.loss(feats, batch)
    for i, sample in enumerate(batch):
        sample.set_metainfo(dict(sample_idx=i))
    assert head.loss(feats, batch)['ddl_positives'] == 0
    # Two images of class 0, each of which meets the other alone.
    assert head.loss(feats, batch)['ddl_positives'] == 2 / 4
    assert head.contrast.queue.images.tolist() == [2, 3, 2, 3, 0, 1]


def test_images_of_two_folders_are_told_apart():
    """A ConcatDataset numbers the images of each folder from 0."""
    head = build(contrast=dict(DDL, own_image=False))
    batch = samples()
    for i, sample in enumerate(batch):
        sample.set_metainfo(dict(img_path=f'{i}/0.jpg', sample_idx=0))
    feats = (torch.rand(len(batch), CHANNELS), )
    head.loss(feats, batch)
    assert head.loss(feats, batch)['ddl_positives'] == 2 / 4
    assert len(head.contrast.queue.images.unique()) == len(batch)


@pytest.mark.parametrize('cls_head', FITTING, ids=lambda c: c['type'])
def test_stock_checkpoint_reaches_the_inner_head(cls_head):
    def classifier(head):
        return MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=dict(type='LeNet5'),
                head=copy.deepcopy(head)))

    stock = classifier(cls_head)
    ours = classifier(dict(type='CSDHead', cls_head=cls_head, contrast=DDL))
    _load_checkpoint_to_model(ours, dict(state_dict=stock.state_dict()))
    for name, value in stock.head.state_dict().items():
        assert torch.equal(value, ours.head.cls_head.state_dict()[name])
    again = classifier(dict(type='CSDHead', cls_head=cls_head, contrast=DDL))
    again.load_state_dict(ours.state_dict())
    for a, b in zip(again.state_dict().values(), ours.state_dict().values()):
        assert torch.equal(a, b)


def test_switch_recipe_hook_reaches_the_inner_head():
    head = build()

    class Runner:
        model = torch.nn.Module()

    Runner.model.head = head
    new_loss = MODELS.build(dict(type='LabelSmoothLoss', label_smooth_val=0.1))
    SwitchRecipeHook._switch_loss(Runner, new_loss)
    assert head.cls_head.loss_module is new_loss
    assert head.loss_module is new_loss
    assert [n for n, m in head.named_modules()
            if m is new_loss] == ['cls_head.loss_module']


def test_adaptive_margins_hook_is_refused_by_its_own_error():
    class Runner:
        model = torch.nn.Module()

    Runner.model.head = build(dict(LINEAR, type='ArcFaceClsHead'))
    with pytest.raises(ValueError, match='CSDHead'):
        SetAdaptiveMarginsHook().before_train(Runner)


@pytest.mark.parametrize('old, new', [('ddl', 'contrast'),
                                      ('ssdt', 'distill')])
@pytest.mark.parametrize('value', [DDL, None])
def test_an_old_config_is_told_the_new_name(old, new, value):
    with pytest.raises(TypeError, match=f"'{old}' is called '{new}' now"):
        build(**{old: value})


def test_a_checkpoint_of_before_loads():
    config = dict(DDL, projector=3)
    head = build(contrast=config, distill=SSDT)
    head.contrast.queue.enqueue(torch.randn(4, 3), torch.arange(4))
    old = {name.replace('contrast.', 'ddl.').replace('distill.', 'ssdt.'): x
           for name, x in head.state_dict().items()}
    assert any(name.startswith('ddl.queue') for name in old)
    assert any(name.startswith('ddl.projector') for name in old)
    again = build(contrast=config, distill=SSDT)
    again.load_state_dict(old)
    for name, x in head.state_dict().items():
        assert torch.equal(x, again.state_dict()[name])


def test_describe_writes_the_objective():
    head = build(contrast=DDL, distill=dict(SSDT, loss_weight=2.))
    assert head.describe() == dict(
        loss='1 x CrossEntropyLoss + 1 x (the same on the second view) + '
        f'alpha=1 x DDLQueueLoss ({head.contrast.extra_repr()}) + '
        'beta=2 x SSDTLoss (temperature 3.0, direction mutual)')
    assert build(aug_loss_weight=0).describe() == dict(
        loss='1 x CrossEntropyLoss')


def test_the_inner_head_is_all_that_inference_needs():
    head = build(contrast=DDL)
    assert head.inference_model() is head.cls_head
    needless = [name for name in head.state_dict()
                if name.startswith(head.training_only_keys)]
    assert set(head.state_dict()) - set(needless) == {
        f'cls_head.{name}' for name in head.cls_head.state_dict()}


def test_the_remedy_for_mixed_images_works():
    """ImageClassifier moves `train_cfg.augments` to its preprocessor."""
    settings = dict(
        type='ImageClassifier',
        backbone=dict(type='MobileNetV2', widen_factor=0.25),
        neck=dict(type='SSDPNeck', in_channels=1280),
        head=dict(
            type='CSDHead',
            cls_head=dict(
                type='LinearClsHead', num_classes=6, in_channels=1280),
            contrast=dict(type='DDLQueueLoss', feat_dim=1280, queue_len=8)),
        train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8)]),
        data_preprocessor=dict(
            type='ClsDataPreprocessor', num_classes=6, to_onehot=True))
    def loss_of(options):
        cfg = Config(dict(model=settings))
        cfg.merge_from_dict(options)
        model = MODELS.build(cfg.model)
        data = dict(
            inputs=[torch.zeros(3, 32, 32, dtype=torch.uint8)] * 4,
            data_samples=[DataSample().set_gt_label(i) for i in range(4)])
        return model(**model.data_preprocessor(data, training=True),
                     mode='loss')

    with pytest.raises(ValueError) as told:
        loss_of({})
    remedy = re.findall(r'([\w.]+)=(None|False)', str(told.value))[:3]
    assert len(remedy) == 3
    assert 'loss_qc' in loss_of({
        name if name.startswith('model.') else f'model.{name}':
        dict(none=None, false=False)[value.lower()] for name, value in remedy})
