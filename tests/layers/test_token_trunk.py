"""Tests of TokenTrunk against blocks that run by hand, image by image."""
import pytest
import torch
from mmengine.runner import turn_on_activation_checkpointing
from mmpretrain.registry import MODELS
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    CheckpointWrapper,
    apply_activation_checkpointing,
)

from csd_mmpretrain.layers.token_trunk import TokenTrunk

ARCH = dict(
    embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=40)
VIT = dict(
    type='VisionTransformer',
    arch=ARCH,
    img_size=(24, 40),
    patch_size=8,
    out_type='featmap')
TIMM = dict(
    type='TIMMBackbone',
    model_name='vit_tiny_patch16_224',
    pretrained=False,
    img_size=(24, 40),
    patch_size=8,
    embed_dim=24,
    depth=3,
    num_heads=3,
    init_values=0.5)
BACKBONES = dict(
    vit=VIT,
    vit_one_layer=dict(VIT, arch=dict(ARCH, num_layers=1)),
    vit_no_class=dict(VIT, with_cls_token=False),
    vit_no_norm=dict(VIT, final_norm=False),
    vit_raw=dict(VIT, out_type='raw'),
    vit_resized=dict(VIT, img_size=40),
    clip=dict(VIT, pre_norm=True),
    deit=dict(VIT, type='DistilledVisionTransformer'),
    deit3=dict(VIT, type='DeiT3'),
    deit3_no_class=dict(VIT, type='DeiT3', with_cls_token=False),
    timm=TIMM,
    timm_registers=dict(TIMM, reg_tokens=4, no_embed_class=True),
    timm_clip=dict(TIMM, pre_norm=True),
    timm_averaged=dict(TIMM, class_token=False, global_pool='avg'))
GRID = (3, 5)
N = GRID[0] * GRID[1]


def stock(cfg):
    if cfg['type'] == 'TIMMBackbone':
        pytest.importorskip('timm')
    return MODELS.build(cfg)


def build(name, **kwargs):
    """A backbone whose every weight counts."""
    backbone = stock(dict(BACKBONES[name], **kwargs))
    for p in backbone.parameters():
        torch.nn.init.normal_(p, std=0.3)
    backbone.train()
    return backbone


def draw(k, batch=3):
    images = torch.randn(batch, 3, 24, 40, requires_grad=True)
    index = torch.stack([torch.randperm(N)[:k] for _ in range(batch)])
    return images, index


def embed(backbone, image):
    """The tokens of one image before the first block."""
    if hasattr(backbone, 'timm_model'):
        model = backbone.timm_model
        return model.norm_pre(model._pos_embed(model.patch_embed(image)))
    x, grid = backbone.patch_embed(image)
    prefix = [
        getattr(backbone, name) for name in ('cls_token', 'dist_token')
        if getattr(backbone, name, None) is not None
    ]
    if type(backbone).__name__ == 'DeiT3':
        return torch.cat([*prefix, x + backbone.pos_embed], dim=1)
    return backbone.pre_norm(
        torch.cat([*prefix, x], dim=1) + backbone.resize_pos_embed(
            backbone.pos_embed, backbone.patch_resolution, grid,
            backbone.interpolate_mode, len(prefix)))


def by_hand(backbone, images, index):
    """Kept features (B, k, C), one image at a time."""
    model = getattr(backbone, 'timm_model', backbone)
    rows = []
    for image, kept in zip(images, index.tolist()):
        tokens = embed(backbone, image[None])
        prefix = tokens.size(1) - N
        places = [*range(prefix), *(prefix + place for place in kept)]
        x = torch.stack([tokens[:, place] for place in places], dim=1)
        if model is backbone:
            for layer in backbone.layers:
                x = layer(x)
            x = backbone.ln1(x) if backbone.final_norm else x
        else:
            for block in model.blocks:
                x = block(x)
            x = model.fc_norm(model.norm(x))
        rows.append(x[0, prefix:])
    return torch.stack(rows)


def grid_of(out):
    """Patch tokens (B, N, C) of a backbone's output."""
    return out.flatten(2).mT if out.dim() == 4 else out[:, -N:]


def gather(out, index):
    return torch.stack([x[kept] for x, kept in zip(grid_of(out), index)])


def gradients(value, backbone, images, weights):
    named = [(n, p) for n, p in backbone.named_parameters()
             if p.requires_grad]
    grads = torch.autograd.grad((value * weights).sum(),
                                [images, *(p for _, p in named)],
                                allow_unused=True)
    return dict(zip(['images', *(n for n, _ in named)], grads))


@pytest.mark.parametrize('k', [1, 2, 7, N - 1, N])
@pytest.mark.parametrize('name', BACKBONES)
def test_equals_the_blocks_by_hand(name, k):
    backbone = build(name)
    images, index = draw(k)
    expected = by_hand(backbone, images, index)
    with TokenTrunk(backbone).keep(index):
        out, = backbone(images)
    found = gather(out, index)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert grid_of(out).shape[1] == N

    weights = torch.randn_like(found)
    slow = gradients(expected, backbone, images, weights)
    fast = gradients(found, backbone, images, weights)
    for key, value in slow.items():
        if value is None:
            assert fast[key] is None or not fast[key].any(), key
        else:
            torch.testing.assert_close(
                fast[key], value, atol=1e-3, rtol=1e-3, msg=key)


@pytest.mark.parametrize('name', BACKBONES)
def test_all_patches_in_any_order_are_the_full_pass(name):
    backbone = build(name)
    images, index = draw(N)
    full, = backbone(images)
    with TokenTrunk(backbone).keep(index):
        out, = backbone(images)
    torch.testing.assert_close(out, full, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('name', BACKBONES)
def test_dropped_patches_are_not_seen(name):
    """Neither their pixels nor their places change what is kept."""
    backbone = build(name)
    images, index = draw(6)
    trunk = TokenTrunk(backbone)
    with trunk.keep(index):
        before, = backbone(images)
    noise = torch.randn(len(images), 1, *GRID)
    noise.flatten(1).scatter_(1, index, 0)
    noise = noise.repeat_interleave(8, 2).repeat_interleave(8, 3)
    with trunk.keep(index):
        after, = backbone(images + noise)
    torch.testing.assert_close(gather(after, index), gather(before, index))


@pytest.mark.parametrize('name', ['vit_no_norm', 'timm'])
def test_dropped_places_hold_one_value(name):
    backbone = build(name)
    images, index = draw(4)
    with TokenTrunk(backbone).keep(index):
        out, = backbone(images)
    dropped = torch.ones(len(images), N).scatter_(1, index, 0).bool()
    assert (grid_of(out)[dropped] == grid_of(out)[dropped][0]).all()


@pytest.mark.parametrize('name', ['vit', 'deit3', 'timm'])
def test_nothing_stays_behind(name):
    backbone = build(name)
    images, index = draw(4)
    expected, = backbone(images)
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks))
             for m in backbone.modules()]
    trunk = TokenTrunk(backbone)
    with trunk.keep(index):
        backbone(images)
    with pytest.raises(RuntimeError), trunk.keep(index + N):
        backbone(images)
    assert hooks == [(len(m._forward_hooks), len(m._forward_pre_hooks))
                     for m in backbone.modules()]
    assert torch.equal(backbone(images)[0], expected)


@pytest.mark.parametrize('name', ['vit', 'deit3', 'timm_registers'])
def test_runs_under_autocast(name):
    backbone = build(name)
    images, index = draw(5)
    with TokenTrunk(backbone).keep(index):
        exact, = backbone(images)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            out, = backbone(images)
    assert out.dtype in (torch.bfloat16, torch.float32)
    difference = gather(out, index).float() - gather(exact, index)
    assert difference.norm() < 0.1 * gather(exact, index).norm()


def recompute(kind, backbone):
    model = getattr(backbone, 'timm_model', backbone)
    if kind == 'timm':
        model.set_grad_checkpointing()
    elif kind == 'mmengine':
        blocks = 'blocks' if model is not backbone else 'layers'
        turn_on_activation_checkpointing(
            model, [f'{blocks}.{i}' for i in range(3)])
    elif kind == 'sequence':
        turn_on_activation_checkpointing(model, ['blocks'])
    else:
        blocks = {type(b) for b in getattr(model, 'layers', None)
                  or model.blocks}
        apply_activation_checkpointing(
            model, check_fn=lambda m: type(m) in blocks)
        assert any(isinstance(m, CheckpointWrapper) for m in model.modules())


@pytest.mark.parametrize('name, kind', [
    ('vit', 'mmengine'),
    ('vit', 'torch'),
    ('deit3', 'mmengine'),
    ('timm_registers', 'timm'),
    ('timm_registers', 'mmengine'),
    ('timm_registers', 'sequence'),
    ('timm_registers', 'torch'),
])
def test_gradient_checkpointing_changes_nothing(name, kind):
    backbone = build(name)
    images, index = draw(5)

    def step():
        backbone.zero_grad()
        raw, = backbone(images)
        with TokenTrunk(backbone).keep(index):
            out, = backbone(images)
        (gather(out, index).sin().sum() + raw.cos().sum()).backward()
        return {
            key.replace('_checkpoint_wrapped_module.', ''): p.grad.clone()
            for key, p in backbone.named_parameters() if p.grad is not None
        }

    plain = step()
    recompute(kind, backbone)
    again = step()
    assert plain.keys() == again.keys()
    for key, grad in plain.items():
        torch.testing.assert_close(again[key], grad, msg=key)


def test_number_of_prefix_tokens():
    for name, number in dict(
            vit=1, vit_no_class=0, deit=2, deit3_no_class=0, timm=1,
            timm_registers=5).items():
        assert TokenTrunk(build(name)).num_prefix_tokens == number


@pytest.mark.parametrize('cfg, reason', [
    (dict(type='BEiTViT', arch=ARCH, out_type='featmap'),
     'BEiTViT has a relative position bias'),
    (dict(type='ViTEVA02', arch='t', out_type='featmap'),
     'ViTEVA02 rotates its tokens .*rope'),
    (dict(type='SwinTransformer', arch='tiny'),
     'SwinTransformer merges the tokens'),
    (dict(type='MobileNetV2'), 'MobileNetV2 has convolutions'),
    (dict(type='MlpMixer', arch='base'), 'MlpMixer computes its output'),
    (dict(type='MAEViT', arch=ARCH), 'MAEViT computes its output'),
    (dict(
        type='TIMMBackbone', model_name='eva02_tiny_patch14_224', depth=1),
     'Eva rotates its tokens .*rope'),
    (dict(
        type='TIMMBackbone', model_name='beit_base_patch16_224', depth=1),
     'Beit has a relative position bias'),
    (dict(
        type='TIMMBackbone',
        model_name='vit_relpos_small_patch16_224',
        depth=1), 'VisionTransformerRelPos has a relative position bias'),
    (dict(type='TIMMBackbone', model_name='resnet18'),
     'ResNet has convolutions'),
    (dict(
        type='TIMMBackbone',
        model_name='deit_tiny_distilled_patch16_224',
        depth=1), 'VisionTransformerDistilled computes its output in a way'),
    (dict(
        type='TIMMBackbone',
        model_name='vit_tiny_patch16_224',
        features_only=True), 'FeatureGetterNet computes its output in a way'),
])
def test_other_backbones_are_refused_with_a_reason(cfg, reason):
    backbone = stock(cfg)
    with pytest.raises(TypeError, match=f'{reason}.*Choose one of mmpr'):
        TokenTrunk(backbone)


@pytest.mark.parametrize('options, message', [
    (dict(out_type='cls_token'), "out_type='cls_token'.*'featmap'"),
    (dict(out_type='avg_featmap'), "out_type='avg_featmap'.*'featmap'"),
    (dict(out_indices=[0, 2]), r'out_indices=\[0, 2\].*out_indices=-1'),
    (dict(out_indices=1), r'out_indices=\[1\].*out_indices=-1'),
    (dict(patch_cfg=dict(stride=4)), 'patches overlap'),
])
def test_other_outputs_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TokenTrunk(build('vit', **options))


def test_convolutional_stem_of_timm_is_refused():
    backbone = stock(
        dict(
            type='TIMMBackbone',
            model_name='vit_tiny_r_s16_p8_224',
            depth=1))
    with pytest.raises(ValueError, match='patches overlap'):
        TokenTrunk(backbone)


def test_a_subclass_with_the_same_forward_is_welcome():

    class Mine(type(build('deit3'))):
        """A user's own."""

    backbone = Mine(arch=ARCH, img_size=24, patch_size=8, out_type='featmap')
    assert TokenTrunk(backbone).num_prefix_tokens == 1


@pytest.mark.parametrize('name', ['vit', 'deit', 'timm', 'timm_registers'])
def test_padding_has_no_influence(name):
    """Images that keep different numbers of patches, and each alone."""
    backbone = build(name)
    trunk = TokenTrunk(backbone)
    images = torch.randn(3, 3, 24, 40)
    index = torch.stack([torch.randperm(N)[:7] for _ in range(3)])
    valid = torch.arange(7) < torch.tensor([[7], [4], [1]])
    with trunk.keep(index, valid):
        together = backbone(images)[-1].flatten(2)
    for i, kept in enumerate(valid):
        with trunk.keep(index[i:i + 1, kept]):
            alone = backbone(images[i:i + 1])[-1].flatten(2)
        torch.testing.assert_close(together[i:i + 1], alone)


def test_the_grid():
    assert TokenTrunk(build('vit')).grid(torch.zeros(1, 3, 24, 40)) == GRID
