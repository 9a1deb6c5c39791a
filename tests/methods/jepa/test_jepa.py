"""JEPA against whole steps of the references, and its properties."""
import copy

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS

from csd_mmpretrain.layers.key_mask import KeyMask
from csd_mmpretrain.layers.token_trunk import TokenTrunk
from csd_mmpretrain.methods.jepa.regions import saliency
from csd_mmpretrain.methods.jepa.sequence import Targets, first_kept

VIT = dict(
    type='VisionTransformer',
    arch=dict(
        embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48),
    img_size=64,
    patch_size=8,
    out_type='raw')
NECK = dict(
    type='JEPAPredictor', in_channels=24, embed_dims=16, depth=2, num_heads=2)
BLOCKS = dict(type='BlockTargets', min_keep=4)
REGIONS = dict(
    type='RegionTargets', block=1, min_area=.02, start=1.,
    blocks=dict(min_keep=4))
RENAMED = {
    'patch_embed.proj.': 'patch_embed.projection.', 'predictor_': '',
    'blocks.': 'layers.', 'norm1': 'ln1', 'norm2': 'ln2',
    'mlp.fc1': 'ffn.layers.0.0', 'mlp.fc2': 'ffn.layers.1'}


def build(generator=BLOCKS, **change):
    cfg = dict(
        type='JEPA', backbone=VIT, neck=NECK, target_generator=generator)
    cfg.update(change)
    model = MODELS.build(copy.deepcopy(cfg))
    model.init_weights()
    model.train()
    model.start_step(3, .5)
    return model


def randomized(model):
    for p in model.parameters():
        p.data = torch.randn_like(p) * .3
    return model


def smooth_images(count=4, size=64):
    return F.interpolate(
        torch.randn(count, 3, 5, 5), size=size, mode='bicubic') * 3


def encoder(data, part, blocks):
    """The reference's encoder as mmpretrain's, with its weights."""
    weights = {}
    for name, value in data.items():
        if name.startswith(f'{part}.'):
            name = name[len(part) + 1:]
            for old, new in RENAMED.items():
                name = name.replace(old, new)
            weights[name.replace('norm.', 'ln1.')] = value
    class_token = 'cls_token' in weights
    if class_token:
        weights['pos_embed'] = F.pad(weights['pos_embed'], (0, 0, 1, 0))
    width = weights['pos_embed'].size(2)
    model = MODELS.build(dict(
        type='VisionTransformer',
        arch=dict(
            embed_dims=width, num_layers=blocks, feedforward_channels=4 *
            width, num_heads=int(data['num_heads'])),
        img_size=data['images'].size(2),
        patch_size=int(data['patch']),
        with_cls_token=class_token,
        norm_cfg=dict(type='LN', eps=1e-5),
        out_type='raw')).double()
    model.load_state_dict(weights)
    return model


def predictor(data, blocks):
    weights = {}
    for name, value in data.items():
        if name.startswith('predictor.') and 'pos_embed' not in name:
            name = name[len('predictor.'):]
            for old, new in RENAMED.items():
                name = name.replace(old, new)
            weights[name.replace('layers.', 'blocks.', 1) if name.startswith(
                'layers.') else name] = value
    width, channels = weights['embed.weight'].shape
    model = MODELS.build(dict(
        type='JEPAPredictor', in_channels=channels, embed_dims=width,
        depth=blocks, num_heads=int(data['num_heads']))).double()
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-5
    model.load_state_dict(weights)
    return model


def test_encoder_and_predictor_of_the_reference(reference):
    data = reference('masked_vit')
    vit = encoder(data, 'encoder', 3)
    trunk = TokenTrunk(vit)
    assert torch.allclose(vit(data['images'])[-1][:, 1:], data['tokens_full'])
    outputs = []
    block = trunk.blocks[int(data['intermediate_block'])]
    with block.register_forward_hook(lambda *args: outputs.append(args[-1])):
        vit(data['images'])
    assert torch.allclose(
        trunk.norm(outputs[0])[:, 1:], data['tokens_intermediate'])
    context, target = data['context'], data['target']
    index, valid = first_kept(context, int(context.sum(1).max()))
    with trunk.keep(index, valid):
        tokens = vit(data['images'])[-1][:, 1:]
    assert torch.allclose(tokens[context], data['tokens_context'][context])
    goal, exists = first_kept(target, int(target.sum(1).max()))
    found = predictor(data, 2)(
        tokens.gather(1, index[..., None].expand(-1, -1, 12)), index, valid,
        goal, exists, (3, 3))
    right = data['right_prediction'].gather(
        1, goal[..., None].expand(-1, -1, 12))
    torch.testing.assert_close(found[exists], right[exists])


def test_a_step_of_the_reference(reference):
    data = reference('ijepa_step')
    model = build(
        backbone=dict(VIT, img_size=64, with_cls_token=False)).double()
    model.backbone = encoder(data, 'encoder', 2)
    model.neck = predictor(data, 1)
    model.teacher['backbone'] = encoder(data, 'target_encoder', 2)
    masks = torch.zeros(4, 3, 16, dtype=torch.bool)
    context = masks[0].scatter(1, data['context_index'][0], True)
    target = masks[1:].scatter(2, data['target_index'], True)
    targets = Targets(context[:, None], target.transpose(0, 1)[:, None])
    features, scores = model.look(data['images'])
    assert scores is None
    loss = model._predict(data['images'], features, targets)
    torch.testing.assert_close(loss, data['loss'])
    loss.backward()
    for found, name in (
            (model.backbone.patch_embed.projection.weight, 'patch_embed'),
            (model.neck.mask_token, 'mask_token')):
        torch.testing.assert_close(found.grad, data[f'grad_{name}'])


@pytest.mark.parametrize('generator', [BLOCKS, REGIONS])
def test_hidden_pixels_have_no_influence(generator):
    model = randomized(build(generator)).double()
    images = smooth_images().double()
    features, scores = model.look(images)
    targets = model.targets(images, scores)
    seen = targets.context.any(1)
    assert targets.valid.any()
    images.requires_grad_()
    model._predict(images, features, targets).backward()
    grads = F.unfold(images.grad, 8, stride=8).abs().sum(1)
    used = targets.valid.any(-1).any(-1)
    assert (grads[~seen] == 0).all()
    assert (grads[used][seen[used]] > 0).all()


@pytest.mark.parametrize('generator', [
    BLOCKS, REGIONS, dict(REGIONS, curriculum='sample', start=.5),
    dict(BLOCKS, sequence=True)])
def test_a_loop_over_images(generator):
    """Each prediction alone, its patches dropped by hand."""
    model = randomized(build(generator)).double()
    images = smooth_images(5).double()
    features, scores = model.look(images)
    targets = model.targets(images, scores)
    trunk, total, count = TokenTrunk(model.backbone), 0., 0
    for i, c, t in targets.valid.nonzero().tolist():
        index = targets.context[i, c].nonzero().T
        goal = targets.target[i, c, t].nonzero().T
        with trunk.keep(index):
            tokens = model.backbone(images[i:i + 1])[-1][:, 1:]
        found = model.neck(
            tokens[:, index[0]], index, torch.ones_like(index).bool(), goal,
            torch.ones_like(goal).bool(), (8, 8))
        total += F.smooth_l1_loss(
            found[0], features[i, goal[0]], reduction='none').mean(1).sum()
        count += goal.numel()
    torch.testing.assert_close(
        model._predict(images, features, targets), total / count)


def test_what_is_logged():
    logged = build(REGIONS).loss(smooth_images(), None)
    assert set(logged) == {
        'loss_jepa', 'context_share', 'target_share', 'steps_mean',
        'target_deviation', 'regions_mean', 'dseq_share', 'curriculum'}
    assert all(value.isfinite() for value in logged.values())
    assert logged['dseq_share'] == 1
    assert 'regions_mean' not in build().loss(smooth_images(), None)


def test_nothing_to_predict_is_no_loss():
    model = build(REGIONS)
    model.teacher['backbone'].cls_token.zero_()  # a constant saliency
    loss = model.loss(torch.zeros(3, 3, 64, 64), None)['loss_jepa']
    loss.backward()
    assert loss == 0
    assert all(p.grad is not None and not p.grad.any()
               for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize('query', ['parameter', 'token'])
def test_saliency_by_hand(query):
    model = randomized(build(dict(REGIONS, query=query)))
    teacher, images = model.teacher['backbone'], smooth_images()
    x, _ = teacher.patch_embed(images)
    x = torch.cat([teacher.cls_token.expand(4, -1, -1), x], 1)
    x = teacher.ln1(teacher.layers[1](teacher.layers[0](
        x + teacher.pos_embed)))
    q = x[:, 0] if query == 'token' else teacher.cls_token[0, 0]
    torch.testing.assert_close(
        model.look(images)[1], saliency(x[:, 1:], q))


def test_the_target_encoder():
    model = build()
    student = dict(model.backbone.named_parameters())
    for name, p in model.teacher['backbone'].named_parameters():
        assert torch.equal(p, student[name]) and not p.requires_grad
    for p in model.backbone.parameters():
        p.data += 1
    before = copy.deepcopy(model.teacher)
    model.update_teacher(1.)
    for p, q in zip(model.teacher.parameters(), before.parameters()):
        assert torch.equal(p, q)
    model.update_teacher(0.)
    for p, q in zip(model.teacher.parameters(), model.backbone.parameters()):
        assert torch.equal(p, q)
    images = smooth_images()
    model.eval()
    with torch.no_grad():
        tokens = model.teacher['backbone'](images)[-1]
        feature_map, = model.extract_feat(images)
        assert torch.equal(feature_map.flatten(2).mT, tokens[:, 1:])


def test_positions_stay():
    model = build()
    assert not model.backbone.pos_embed.requires_grad
    assert not model.backbone.pos_embed[0, 0].any()
    assert model.backbone.pos_embed[0, 1:].any(-1).all()


def test_weights_of_an_encoder_alone_fill_both():
    model, other = build(), build()
    state = {f'backbone.{k}': v + 1
             for k, v in other.backbone.state_dict().items()}
    model.load_state_dict(state, strict=False)
    for p, q in zip(model.teacher.parameters(), other.backbone.parameters()):
        assert torch.equal(p, q + 1)


def test_images_of_another_shape():
    model = build(REGIONS)
    images = F.interpolate(smooth_images(), size=(64, 96))
    assert model.loss(images, None)['loss_jepa'] > 0
    assert model.extract_feat(images)[0].shape == (4, 24, 8, 12)


def test_images_that_are_too_small():
    model = build()
    for size, error in ((24, '3 x 3 patches is too small.*larger images'),
                        (32, 'target_scale.*4 x 4.*min_keep=4')):
        with pytest.raises(ValueError, match=error):
            model.loss(smooth_images(size=size), None)


@pytest.mark.parametrize('generator', [BLOCKS, REGIONS])
def test_images_that_are_no_whole_number_of_patches(generator):
    model = build(generator)
    images = smooth_images(size=60)
    padded = F.pad(images, (0, 4, 0, 4))
    for found, right in zip(model.look(images), model.look(padded)):
        assert found is right is None or torch.equal(found, right)
    assert model.loss(images, None)['loss_jepa'] > 0


@pytest.mark.parametrize('backbone, rows', [
    (dict(VIT, type='DeiT3'), 64),
    (dict(VIT, type='DistilledVisionTransformer'), 66)])
def test_other_plain_transformers(backbone, rows):
    model = build(REGIONS, backbone=backbone)
    positions = model.backbone.pos_embed[0]
    assert len(positions) == rows and positions[-64:].any(-1).all()
    assert not positions[:-64].any()
    assert model.loss(smooth_images(), None)['loss_jepa'] > 0


def test_a_transformer_of_timm_is_refused():
    pytest.importorskip('timm')
    with pytest.raises(TypeError, match='TIMMBackbone.*VisionTransformer'):
        build(backbone=dict(
            type='TIMMBackbone', model_name='vit_tiny_patch16_224'))
    assert VIT['type'] == 'VisionTransformer' and VIT['out_type'] == 'raw'
    build(backbone=VIT)


@pytest.mark.parametrize('change, message', [
    (dict(neck=dict(NECK, in_channels=20)), 'in_channels=24'),
    (dict(neck=dict(NECK, embed_dims=18)), 'multiple of 4'),
    (dict(backbone=dict(VIT, out_type='featmap')), "out_type='raw'"),
    (dict(backbone=dict(VIT, img_size=24)), 'at least 16'),
    (dict(backbone=dict(VIT, with_cls_token=False),
          target_generator=REGIONS), 'with_cls_token=True'),
    (dict(target_generator=dict(REGIONS, block=3)), 'blocks 0 to 2'),
    (dict(target_generator=dict(REGIONS, block=-1)), 'blocks 0 to 2'),
    (dict(target_generator=dict(type='BlockTargets')), 'min_keep=10'),
    (dict(backbone=dict(type='SwinTransformer', img_size=64)), 'plain'),
    (dict(backbone=dict(type='ResNet', depth=18)), 'plain'),
])
def test_parts_that_do_not_fit(change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        build(**change)


def test_views_and_a_missing_hook():
    model = build()
    with pytest.raises(ValueError, match='one view'):
        model.loss([smooth_images(), smooth_images()], None)
    model._step = None
    with pytest.raises(RuntimeError, match='JEPAHook'):
        model.loss(smooth_images(), None)


def test_a_key_mask_without_effect():
    with pytest.raises(RuntimeError, match='scaled_dot_product_attention'):
        with KeyMask(torch.ones(1, 4).bool()):
            torch.ones(1)
