"""Tests of SSDPHook on stock classifiers."""
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from csd_mmpretrain.layers.feature_map import MaskedFeatures
from csd_mmpretrain.methods.csdnet.discrepancy_mask_view import (
    DiscrepancyMaskView,
)
from csd_mmpretrain.methods.csdnet.ssdp_hook import SSDPHook
from csd_mmpretrain.methods.csdnet.ssdp_neck import SSDPNeck

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
    pooled = []
    model.neck.register_forward_hook(lambda m, args, out: pooled.append(*out))
    with torch.no_grad():
        feats = [model.backbone(x) for x in (images, images / 2)]
        expected = torch.cat([model.neck(x)[0] for x in feats])
        model.training = True
        losses = model(images, samples, mode='loss')
    torch.testing.assert_close(pooled[-1], expected)
    torch.testing.assert_close(view.pattern, model.neck.pattern_map(feats[0]))
    assert view.labels.tolist() == [0, 1, 2]
    assert set(losses) == {'loss_cls', 'loss_cls_aug'}


def test_a_backbone_may_return_the_map_itself():
    model = classifier()
    forward = model.backbone.forward
    model.backbone.forward = lambda images: forward(images)[-1]
    images, samples = batch()
    view = RecordingView()
    hook, _ = attach(model, view=view, norm='shared')
    losses = model(images, samples, mode='loss')
    assert set(losses) == {'loss_cls', 'loss_cls_aug'}
    assert model.head.view_norm == 'shared'


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
    with pytest.raises(TypeError):
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


VIT = dict(
    type='VisionTransformer',
    arch=dict(
        embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=40),
    img_size=24,
    patch_size=8,
    out_type='featmap')
TIMM = dict(
    type='TIMMBackbone',
    model_name='vit_tiny_patch16_224',
    pretrained=False,
    img_size=24,
    patch_size=8,
    embed_dim=24,
    depth=2,
    num_heads=3,
    reg_tokens=4)
TOKENS = dict(layout='tokens', num_prefix_tokens=5)
half = partial(
    dict, type='DiscrepancyMaskView', threshold=('quantile', 0.5))
attach_kept = partial(attach, second_pass='kept_tokens')


def vit_cfg(backbone=VIT, neck=None, **kwargs):
    if backbone is TIMM:
        pytest.importorskip('timm')
    head = dict(type='LinearClsHead', num_classes=CLASSES, in_channels=24)
    return dict(
        type='ImageClassifier',
        backbone=dict(backbone, **kwargs),
        neck=dict(dict(type='SSDPNeck', in_channels=24), **neck or {}),
        head=dict(
            type='CSDHead',
            cls_head=head,
            contrast=dict(type='DDLQueueLoss', feat_dim=24, queue_len=8),
            distill=dict(type='SSDTLoss')))


def vit(*args, **kwargs):
    model = MODELS.build(vit_cfg(*args, **kwargs))
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    model.train()
    return model


def blocks_by_hand(model, image, kept):
    """One image's kept tokens behind the last norm, (k, C)."""
    backbone = getattr(model.backbone, 'timm_model', model.backbone)
    if backbone is model.backbone:
        tokens = torch.cat(
            [backbone.cls_token, backbone.patch_embed(image[None])[0]], 1)
        tokens, prefix = tokens + backbone.pos_embed, 1
        blocks, norm = backbone.layers, backbone.ln1
    else:
        tokens, prefix = backbone._pos_embed(
            backbone.patch_embed(image[None])), 5
        blocks, norm = backbone.blocks, backbone.norm
    x = tokens[:, [*range(prefix), *(prefix + place for place in kept)]]
    for block in blocks:
        x = block(x)
    return norm(x)[0, prefix:]


@pytest.mark.parametrize('mode, count', [('keep', 4), ('erase', 5)])
@pytest.mark.parametrize('kernel, gating', [
    ('gap', 'multiply'), ('cosine', 'standardised'), ('conv', 'residual')])
@pytest.mark.parametrize('backbone, layout', [(VIT, {}), (TIMM, TOKENS)])
def test_kept_tokens_equal_the_blocks_by_hand(
        backbone, layout, kernel, gating, mode, count):
    options = dict(kernel=kernel, gating=gating)
    model = vit(backbone, dict(layout, **options))
    images, samples = batch(size=24)
    images.requires_grad_()
    hook, _ = attach_kept(model, view=half(mode=mode))
    pooled = []
    model.neck.register_forward_hook(lambda m, args, out: pooled.append(*out))
    losses = model(images, samples, mode='loss')
    raw, augmented = pooled[-1].chunk(2)

    feats = model.backbone(images)
    pattern = model.neck.pattern_map(feats)
    torch.testing.assert_close(raw, model.neck(feats)[0])
    alone = SSDPNeck(24, **options)
    alone.load_state_dict(model.neck.state_dict())
    expected = []
    for image, p in zip(images, pattern.flatten(1).tolist()):
        kept = sorted(range(9), key=lambda place: -p[place])
        kept = kept[:4] if mode == 'keep' else kept[4:]
        x = blocks_by_hand(model, image, kept)
        assert len(x) == count
        expected.append(alone((x.T[None, ..., None], ))[0])
    expected = torch.cat(expected)
    torch.testing.assert_close(augmented, expected, atol=1e-5, rtol=1e-4)
    assert hook._kept.tolist() == pytest.approx([count / 9] * 3)

    ours, = torch.autograd.grad(losses['loss_cls_aug'], images)
    logits = model.head.cls_head.fc(expected)
    target = torch.tensor([s.gt_label.item() for s in samples])
    theirs, = torch.autograd.grad(
        torch.nn.functional.cross_entropy(logits, target), images)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)


def test_kept_tokens_know_nothing_of_the_dropped_pixels():
    model = vit()
    images, samples = batch(size=24)
    images.requires_grad_()
    attach_kept(model, view=half())
    losses = model(images, samples, mode='loss')
    grad, = torch.autograd.grad(losses['loss_cls_aug'], images)
    cells = grad.unflatten(2, (3, 8)).unflatten(4, (3, 8))
    touched = cells.abs().amax(dim=(1, 3, 5)) > 0
    assert (touched.sum(dim=(1, 2)) == 4).all()


def test_kept_tokens_of_oblong_images():
    model = vit(img_size=(24, 40))
    images, samples = torch.randn(2, 3, 24, 40), batch(2)[1]
    attach_kept(model, view=half())
    seen = []
    model.neck.register_forward_pre_hook(lambda m, args: seen.append(*args))
    model(images, samples, mode='loss')
    raw, second = seen
    assert isinstance(second, MaskedFeatures)
    assert raw[0].shape == second.feats[0].shape == (2, 24, 3, 5)
    assert second.valid.shape == (2, 3, 5)
    assert (second.valid.sum(dim=(1, 2)) == 8).all()


@pytest.mark.parametrize('mode', ['tensor', 'predict'])
@pytest.mark.parametrize('training', [True, False])
def test_kept_tokens_do_nothing_outside_the_loss(mode, training):
    model = vit()
    model.head.distill = None
    model.train(training)
    images, samples = batch(size=24)
    expected = model(images, mode='tensor')
    attach_kept(model, view=half())
    out = model(images, samples, mode=mode)
    if mode == 'predict':
        out = torch.stack([s.pred_score for s in out])
        expected = expected.softmax(1)
    torch.testing.assert_close(out, expected)
    losses = model(images, samples, mode='loss')
    assert ('loss_cls_aug' in losses) is training


def test_kept_tokens_leave_no_hooks_after_an_error():
    model = vit()
    images, samples = batch(size=24)
    expected = model.backbone(images)[0]
    hook, runner = attach_kept(model, view=half())
    hook.view.kept_cells = lambda pattern: torch.full((3, 4), 99)
    with pytest.raises(RuntimeError):
        model(images, samples, mode='loss')
    assert torch.equal(model.backbone(images)[0], expected)
    hook.after_train(runner)
    for module in model.backbone.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks


def test_kept_tokens_under_autocast():
    model = vit()
    images, samples = batch(size=24)
    attach_kept(model, view=half())
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(images, samples, mode='loss')
    total = sum(v for k, v in losses.items() if 'loss' in k)
    total.backward()
    assert total.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('view', [
    None,
    dict(type='DiscrepancyMaskView', threshold=0.5),
    half(mode='crop'),
    half(mode='soft'),
    dict(type='EraseShuffleView'),
    RecordingView(),
])
def test_kept_tokens_need_equal_numbers(view):
    with pytest.raises(ValueError, match="threshold=\\('quantile', 0.5\\)"):
        SSDPHook(view=view, second_pass='kept_tokens')


def test_a_refused_view_is_shown_with_its_options():
    with pytest.raises(ValueError) as error:
        SSDPHook(second_pass='kept_tokens')
    assert 'DiscrepancyMaskView (mode keep, threshold mean' in str(
        error.value)


def test_kept_tokens_need_a_plain_vit():
    with pytest.raises(TypeError, match="MobileNetV2.*second_pass='full'"):
        attach_kept(classifier(), view=half())
    with pytest.raises(ValueError, match='out_type'):
        attach_kept(vit(out_type='cls_token'), view=half())


def test_kept_tokens_need_a_neck_that_knows_of_them():

    class Mine(torch.nn.Module):

        def pattern_map(self, feats):
            return feats[-1].mean(1)

    model = vit()
    model.neck = Mine()
    with pytest.raises(TypeError, match='Mine.*SSDPNeck'):
        attach_kept(model, view=half())


@pytest.mark.parametrize('scale', [0.5, 0.7])
def test_a_smaller_second_view_by_hand(scale):
    model = classifier()
    images, samples = batch(size=96)
    images.requires_grad_()
    view = RecordingView()
    attach(model, view=view, scale=scale)
    pooled, sizes = [], []
    model.neck.register_forward_hook(lambda m, args, out: pooled.append(*out))
    model.backbone.register_forward_pre_hook(
        lambda m, args: sizes.append(tuple(args[0].shape[2:])))
    losses = model(images, samples, mode='loss')
    side = round(scale * 96)
    assert sizes == [(96, 96), (side, side)]
    smaller = torch.nn.functional.interpolate(
        images / 2, (side, side), mode='bilinear', antialias=True)
    expected = model.neck(model.backbone(smaller))[0]
    second, both, _ = pooled
    torch.testing.assert_close(second, expected)
    torch.testing.assert_close(both[3:], expected)
    assert len(both) == 6
    grad, = torch.autograd.grad(losses['loss_cls_aug'], images)
    assert grad.abs().sum() > 0


def test_a_smaller_second_view_keeps_the_memory_format():
    model = classifier().to(memory_format=torch.channels_last)
    images, samples = batch(size=96)
    images = images.to(memory_format=torch.channels_last)
    attach(model, scale=0.5)
    formats = []
    model.backbone.register_forward_pre_hook(
        lambda m, args: formats.append(args[0].is_contiguous(
            memory_format=torch.channels_last)))
    model(images, samples, mode='loss')
    assert formats == [True, True]


@pytest.mark.parametrize('options', [
    dict(scale=0), dict(scale=1.5),
    dict(scale=0.5, second_pass='kept_tokens', view=half())])
def test_impossible_scales(options):
    with pytest.raises(ValueError, match='scale=.*more than 0 and at most 1'):
        SSDPHook(**options)


@pytest.mark.parametrize('fault, expected', [
    ('CUDA error: out of luck', RuntimeError),
    ('shapes do not fit', ValueError),
])
def test_a_fault_of_the_gpu_is_not_one_of_the_size(fault, expected):
    model = classifier()
    images, samples = batch(size=96)
    attach(model, scale=0.5)

    def fail(module, args):
        if args[0].size(-1) == 48:
            raise RuntimeError(fault)

    model.backbone.register_forward_pre_hook(fail)
    with pytest.raises(expected, match=fault) as error:
        model(images, samples, mode='loss')
    assert error.type is expected


def test_soft_labels_alone_get_a_second_view():
    model = classifier()
    attach(model)
    images, _ = batch()
    samples = [DataSample().set_gt_score(torch.full((CLASSES, ), 1 / CLASSES))
               for _ in images]
    losses = model(images, samples, mode='loss')
    assert set(losses) == {'loss_cls', 'loss_cls_aug'}


def test_class_tokens_are_not_taken_for_patches():
    model = vit(neck=TOKENS, out_type='raw')
    with pytest.raises(ValueError, match='num_prefix_tokens=5.*puts 1 tokens'):
        attach(model)


def test_unknown_second_pass():
    with pytest.raises(ValueError, match="second_pass='half'.*full, kept_to"):
        SSDPHook(second_pass='half')


@pytest.mark.parametrize('backbone, neck', [(VIT, {}), (TIMM, TOKENS)])
def test_a_run_with_kept_tokens(backbone, neck, tmp_path):
    samples = [
        dict(
            inputs=torch.randint(256, (3, 24, 24), dtype=torch.uint8),
            data_samples=DataSample().set_gt_label(i % CLASSES))
        for i in range(12)
    ]
    loader = dict(
        batch_size=4,
        dataset=samples,
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='default_collate'))
    runner = Runner(
        dict(
            vit_cfg(backbone, neck),
            data_preprocessor=dict(
                type='ClsDataPreprocessor', mean=[127.] * 3, std=[60.] * 3)),
        str(tmp_path),
        train_dataloader=loader,
        val_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=2),
        val_cfg=dict(),
        val_evaluator=dict(type='Accuracy'),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            ssdp=dict(
                type='SSDPHook', second_pass='kept_tokens', view=half()),
            setup_check=dict(type='SetupCheckHook')),
        default_scope='mmpretrain',
        experiment_name=f'kept_{tmp_path.name}')
    before = {k: v.clone() for k, v in runner.model.named_parameters()}
    runner.train()
    scalars = runner.message_hub.log_scalars
    assert scalars['train/ssdp_area'].current() == pytest.approx(4 / 9)
    assert torch.isfinite(
        torch.tensor(scalars['train/loss'].current()))
    assert all((before[k] != v).any()
               for k, v in runner.model.named_parameters())
