"""CMD: two networks, crops of several sizes, gradients and errors."""
import copy

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS

from csd_mmpretrain.methods.cmd.cmd_head import CMDHead, CropOutputs

K, C = 12, 16
NECK = dict(
    type='CMDNeck',
    in_channels=C,
    num_prototypes=K,
    hidden_channels=8,
    bottleneck_channels=6)
HEAD = dict(type='CMDHead', num_prototypes=K)
DINO = dict(HEAD, image_weight=1., region_weight=0., inter_weight=0.)
# No batch norm: an image's output does not depend on its neighbors.
SWIN = dict(
    type='SwinTransformer',
    img_size=32,
    arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
    window_size=4,
    pad_small_map=True,
    drop_path_rate=0.,
    out_indices=(1, ))
RESNET = dict(
    type='ResNet',
    depth=18,
    num_stages=2,
    strides=(1, 2),
    dilations=(1, 1),
    out_indices=(1, ),
    stem_channels=8,
    base_channels=8)
VIT = dict(
    type='VisionTransformer',
    img_size=32,
    patch_size=8,
    arch=dict(
        embed_dims=C, num_layers=2, num_heads=2, feedforward_channels=24),
    out_type='raw')


def build(**changes):
    cfg = dict(
        type='CMD',
        backbone=SWIN,
        neck=NECK,
        region_neck=NECK,
        head=HEAD)
    model = MODELS.build(copy.deepcopy(dict(cfg, **changes)))
    model.head.teacher_temp = 0.05
    return model.train()


def crops(images=3, local=3, size=32):
    return [torch.randn(images, 3, size, size) for _ in range(2)] + [
        torch.randn(images, 3, size // 2, size // 2) for _ in range(local)
    ]


def reference(model, inputs):
    """The terms, crop by crop, pair by pair, with the equations written out.
    """
    head = model.head

    def outputs(parts, crop):
        x = parts['backbone'](crop)[-1].flatten(2).transpose(1, 2)
        return parts['neck'](x.mean(1)), parts['region_neck'](x), x

    def teacher_softmax(z, center):
        return ((z - center) / head.teacher_temp).softmax(-1)

    own = dict(
        backbone=model.backbone,
        neck=model.neck,
        region_neck=model.region_neck)
    student = [outputs(own, crop) for crop in inputs]
    teacher = [outputs(model.teacher, crop) for crop in inputs[:2]]
    image, region, inter = [], [], []
    for v, (z, tokens, x) in enumerate(student):
        for q, (z_t, tokens_t, x_t) in enumerate(teacher):
            if q == v:
                continue
            p = teacher_softmax(z_t, head.image_center)
            image.append(F.cross_entropy(z / head.student_temp, p))
            rows = teacher_softmax(tokens_t, head.region_center)
            for b in range(len(z)):
                for i in range(tokens.size(1)):
                    j = F.cosine_similarity(x[b, i][None], x_t[b]).argmax()
                    region.append(
                        F.cross_entropy(tokens[b, i] / head.student_temp,
                                        rows[b, j]) / tokens.size(1) / len(z))
        bag = (tokens / head.student_temp).softmax(-1).mean(1)
        p = (z / head.student_temp).softmax(-1)
        inter.append((bag * (bag.log() - p.log())).sum(-1).mean())
    return dict(
        loss_image=.5 * sum(image) / len(image),
        loss_region=.5 * sum(region) / len(image),
        loss_inter=sum(inter) / len(inter))


def test_terms_and_gradients_equal_the_equations():
    model = build()
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.head.image_center.normal_(0, .1)
    model.head.region_center.normal_(0, .1)
    inputs = crops()
    expected = reference(model, inputs)
    sum(expected.values()).backward()
    wanted = {k: v.grad for k, v in model.named_parameters()
              if v.grad is not None}
    model.zero_grad()
    found = model.loss(inputs, None)
    sum(found[name] for name in expected).backward()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-4), name
    got = {k: v.grad for k, v in model.named_parameters()
           if v.grad is not None}
    assert set(got) == set(wanted)
    for name, grad in wanted.items():
        assert torch.allclose(got[name], grad, rtol=1e-3, atol=1e-5), name


def test_teacher_gets_no_gradient_and_moves_towards_the_student():
    model = build()
    sum(v for k, v in model.loss(crops(), None).items()
        if 'loss' in k).backward()
    assert all(p.grad is None for p in model.teacher.parameters())
    before = copy.deepcopy(model.teacher.state_dict())
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.add_(1)
    model.update_teacher(1.)
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(value, before[name])
    model.update_teacher(.75)
    student = model.backbone.state_dict()
    for name, value in model.teacher['backbone'].named_parameters():
        expected = .75 * before[f'backbone.{name}'] + .25 * student[name]
        assert torch.allclose(value, expected), name


def test_centers_follow_the_teacher_after_the_loss():
    model = build()
    inputs = crops()
    with torch.no_grad():
        x = [model.teacher['backbone'](crop)[-1].flatten(2).transpose(1, 2)
             for crop in inputs[:2]]
        image = torch.cat([model.neck(tokens.mean(1)) for tokens in x])
        region = torch.cat([model.region_neck(tokens) for tokens in x])
    first = model.loss(inputs, None)
    assert torch.allclose(model.head.image_center, .1 * image.mean(0))
    assert torch.allclose(model.head.region_center,
                          .1 * region.mean((0, 1)), atol=1e-6)
    second = model.loss(inputs, None)
    assert first['loss_image'] != second['loss_image']


def test_dino_is_cmd_without_regions():
    model = build(region_neck=None, head=DINO)
    assert not any('region' in name or 'aggregator' in name
                   for name in model.state_dict())
    losses = model.loss(crops(), None)
    assert [k for k in losses if 'loss' in k] == ['loss_image']
    whole = build(head=dict(HEAD, image_weight=1.))
    whole.load_state_dict(model.state_dict(), strict=False)
    inputs = crops()
    for head in (model.head, whole.head):
        head.image_center.fill_(.1)
    assert torch.allclose(
        model.loss(inputs, None)['loss_image'],
        whole.loss(inputs, None)['loss_image'])


def test_inter_level_against_the_teacher():
    model = build(head=dict(HEAD, inter_target='teacher'))
    inputs = crops(local=1)
    with torch.no_grad():
        p = [(model.neck(model.teacher['backbone'](crop)[-1].mean((2, 3))) /
              .05).log_softmax(-1) for crop in inputs[:2]]
        bags = []
        for crop in inputs:
            x = model.backbone(crop)[-1].flatten(2).transpose(1, 2)
            bags.append((model.region_neck(x) / .1).softmax(-1).mean(1))
        pairs = [(bags[v] * (bags[v].log() - p[q])).sum(-1).mean()
                 for q in range(2) for v in range(3) if v != q]
    found = model.loss(inputs, None)['loss_inter']
    assert torch.allclose(found, sum(pairs) / 4, rtol=1e-4)


@pytest.mark.parametrize('parts', [
    dict(backbone=RESNET),
    dict(backbone=VIT, layout='tokens', num_prefix_tokens=1),
    dict(backbone=dict(VIT, out_type='featmap')),
    dict(aggregator=dict(type='GatedAttentionBag', in_channels=C)),
], ids=['resnet', 'class token', 'map', 'attention'])
def test_backbones_and_bags(parts):
    model = build(**parts)
    losses = model.loss(crops(), None)
    total = sum(v for k, v in losses.items() if 'loss' in k)
    total.backward()
    assert total.isfinite()
    without = [name for name, p in model.named_parameters()
               if p.requires_grad and (p.grad is None or not p.grad.any())]
    # A class token's own last normalization may leave nothing else out.
    assert not without, without


def test_class_token_is_the_image():
    model = build(backbone=VIT, layout='tokens', num_prefix_tokens=1)
    inputs = crops(local=0)
    image = model.backbone(torch.cat(inputs))[-1][:, 0]
    outputs = model._run(
        torch.nn.ModuleDict(model._student()), inputs)
    assert torch.allclose(outputs.image.flatten(0, 1), model.neck(image))
    assert outputs.region.shape == (2, 3, 16, K)


def test_teacher_drops_nothing_and_keeps_statistics_of_its_own():
    model = build(backbone=dict(RESNET, drop_path_rate=.5))
    drops = [m for m in model.teacher.modules()
             if type(m).__name__ == 'DropPath']
    assert drops and not any(m.training for m in drops)
    before = copy.deepcopy(model.teacher.state_dict())
    model.loss(crops(), None)
    changed = [name for name, value in model.teacher.state_dict().items()
               if not torch.equal(value, before[name])]
    assert changed and all('running' in n or 'num_batches' in n
                           for n in changed)
    mine = model.backbone.bn1.running_mean
    assert not torch.equal(model.teacher['backbone'].bn1.running_mean, mine)
    model.eval()
    before = copy.deepcopy(model.state_dict())
    model(torch.randn(2, 3, 32, 32))
    assert all(torch.equal(v, before[k])
               for k, v in model.state_dict().items())


def test_frozen_batch_norm_is_frozen_in_the_teacher_too():
    model = build(backbone=dict(RESNET, norm_eval=True))
    before = copy.deepcopy(model.teacher.state_dict())
    model.loss(crops(), None)
    assert all(torch.equal(v, before[k])
               for k, v in model.teacher.state_dict().items())


def test_teacher_starts_as_the_student():
    model = build(backbone=RESNET)
    model.init_weights()
    student = torch.nn.ModuleDict(model._student()).state_dict()
    assert all(torch.equal(v, student[k])
               for k, v in model.teacher.state_dict().items())


def test_weights_without_a_teacher_fill_both():
    model = build()
    weights = {f'backbone.{k}': torch.randn_like(v) if v.is_floating_point()
               else v for k, v in model.backbone.state_dict().items()}
    model.load_state_dict(weights, strict=False)
    for name, value in weights.items():
        assert torch.equal(model.state_dict()[name], value)
        assert torch.equal(model.state_dict()[f'teacher.{name}'], value)
    own = build()
    own.load_state_dict(model.state_dict())
    assert all(torch.equal(v, model.state_dict()[k])
               for k, v in own.state_dict().items())


def test_a_checkpoint_of_before_loads():
    model = build()
    old = {name.replace('prototypes.weight', 'prototypes'): value
           for name, value in model.state_dict().items()}
    assert {'neck.prototypes', 'teacher.region_neck.prototypes'} <= set(old)
    again = build()
    again.load_state_dict(old)
    assert all(torch.equal(value, model.state_dict()[name])
               for name, value in again.state_dict().items())
    # Optimizers know parameters by their order alone.
    assert next(model.neck.named_parameters())[0] == 'prototypes.weight'


def test_features_are_the_teachers():
    model = build().eval()
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.zero_()
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(model(x)[-1], model.teacher['backbone'](x)[-1])
    assert model(x)[-1].abs().sum() > 0


def test_bf16_trains_without_nan():
    model = build(backbone=RESNET)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    inputs = crops(images=2, local=1, size=16)
    for step in range(200):
        with torch.autocast('cpu', dtype=torch.bfloat16):
            losses = model.loss(inputs, None)
        total = sum(v for k, v in losses.items() if 'loss' in k)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        model.update_teacher(.9)
        assert all(v.isfinite().all() for v in losses.values()), step
    assert all(p.isfinite().all() for p in model.state_dict().values())
    assert losses['loss_image'].dtype == torch.float32


def test_no_waiting():
    """Nothing asks the device for a value."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    head = CMDHead(num_prototypes=K)
    head.teacher_temp = .05
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        def outputs(views, tokens):
            return CropOutputs(
                torch.randn(views, 2, K, requires_grad=True),
                torch.randn(views, 2, tokens, K, requires_grad=True),
                torch.randn(views, 2, tokens, C),
                torch.randn(views, 2, tokens))
        losses = head.loss([outputs(2, 9), outputs(3, 4)], outputs(2, 9))
        sum(v for k, v in losses.items() if 'loss' in k).backward()


@pytest.mark.parametrize('changes, message', [
    (dict(region_neck=None), 'no `region_neck`'),
    (dict(head=DINO), 'of no use'),
    (dict(
        head=dict(HEAD, inter_weight=0.),
        aggregator=dict(type='GatedAttentionBag', in_channels=C)),
     'inter_weight=0. Set it, or aggregator=None'),
    (dict(neck=dict(NECK, num_prototypes=5)), 'the same number'),
    (dict(layout='chw'), 'unknown layout'),
    (dict(layout='nhwc', num_prefix_tokens=1), "CMD: .*fit layout='nhwc'"),
    (dict(backbone=VIT, layout='tokens'), 'num_prefix_tokens=0.*puts 1 tok'),
    (dict(num_global_crops=0), 'at least 1'),
    (dict(head=dict(HEAD, student_temp=0)), 'must be positive'),
    (dict(head=dict(HEAD, region_weight=-1)), 'must not be negative'),
    (dict(head=dict(DINO, image_weight=0)), 'nothing to learn'),
    (dict(head=dict(HEAD, image_weight=0, inter_weight=0)),
     'nothing trains the `neck`'),
    (dict(head=dict(HEAD, image_weight=0, inter_target='teacher')),
     "inter_target='teacher'. Set image_weight"),
    (dict(head=dict(HEAD, center_momentum=1)), r'must lie in \[0, 1\)'),
    (dict(head=dict(HEAD, inter_target='both')), 'unknown inter_target'),
    (dict(head=dict(HEAD, num_prototypes=1)), 'at least 2'),
    (dict(neck=dict(NECK, hidden_channels=0)), 'positive integer'),
])
def test_bad_config(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_bad_input():
    model = build()
    with pytest.raises(ValueError, match='one tensor for an image.*MultiView'):
        model.loss(torch.randn(2, 3, 32, 32), None)
    with pytest.raises(ValueError, match='1 crops for an image'):
        model.loss(crops(local=0)[:1], None)
    with pytest.raises(ValueError, match='must have one size'):
        model.loss(crops()[1:], None)
    with pytest.raises(ValueError, match='in_channels=16, but'):
        build(backbone=dict(RESNET, base_channels=4)).loss(crops(), None)
    model.head.teacher_temp = None
    with pytest.raises(RuntimeError, match='SelfDistillationHook'):
        model.loss(crops(), None)
