"""The head against the published numbers, its turns and its refusals."""
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmpretrain.structures import DataSample
from prototype_oracles import head_with_weights, tensors
from torch.testing import assert_close

from csd_mmpretrain.methods.st_protopnet import STProtoPNetHead
from csd_mmpretrain.methods.st_protopnet.objective import cluster, separation
from csd_mmpretrain.methods.st_protopnet.similarity import (
    cosine_map,
    projection_map,
    strongest,
)
from csd_mmpretrain.methods.st_protopnet.st_protopnet_head import BRANCHES

EXACT = dict(rtol=1e-9, atol=1e-12)


def samples_of(labels):
    return [DataSample().set_gt_label(int(label)) for label in labels]


@pytest.mark.parametrize('form', ['full', 'cropped'])
def test_forward_is_the_published_one(oracle, form):
    numbers = tensors(oracle(f'st_protopnet/forward_{form}'))
    head = head_with_weights(numbers, form)
    feats = (numbers['features'], )
    maps, logits = head.branch_maps(feats), head.branch_logits(feats)
    for name, branch in head.branches():
        assert_close(maps[name], numbers[f'{name}_map_features'], **EXACT)
        if form == 'full':
            assert_close(branch.similarity(maps[name]),
                         numbers[f'{name}_similarity'], **EXACT)
            assert_close(branch.activations(maps[name])[0],
                         numbers[f'{name}_activation'], **EXACT)
            assert_close(head.pre_logits(feats)[:, -6:],
                         numbers['support_activation'], **EXACT)
            assert_close(
                logits[name],
                numbers[f'{name}_activation']
                @ numbers[f'{name}_last_layer'].T, **EXACT)
        else:
            assert_close(projection_map(maps[name], branch.prototypes),
                         numbers[f'{name}_projection'], **EXACT)
            assert_close(branch.activations(maps[name])[1],
                         numbers[f'{name}_cosine_max'], **EXACT)
            assert_close(logits[name], numbers[f'{name}_logits'], **EXACT)
    assert torch.equal(head(feats).argmax(1), numbers['prediction'])
    found = head.predict(feats)
    assert [int(s.pred_label) for s in found] == (
        numbers['prediction'].tolist())
    assert_close(torch.stack([s.pred_score for s in found]),
                 head(feats).softmax(1))
    for name in BRANCHES:
        assert [int(s.get(f'{name}_label')) for s in found] == (
            logits[name].argmax(1).tolist())


@pytest.mark.parametrize('name', ['losses_full', 'losses_full_one_image'])
def test_losses_and_gradients_are_the_published_ones(oracle, name):
    numbers = tensors(oracle(f'st_protopnet/{name}'))
    head = head_with_weights(numbers, 'full').train()
    for branch_name, other in (BRANCHES, BRANCHES[::-1]):
        head.zero_grad()
        losses = head.loss((numbers['features'], ),
                           samples_of(numbers['labels']))
        for term, key in (('ce', 'cross_entropy'), ('cluster', ) * 2,
                          ('separation', ) * 2, ('orthogonality', ) * 2,
                          ('l1', ) * 2):
            for one in BRANCHES:
                assert_close(losses[f'{one}_{term}'],
                             numbers[f'{one}_{key}'], rtol=1e-9, atol=1e-7)
        assert_close(losses['trivial_discrimination'],
                     numbers['discrimination'], **EXACT)
        assert_close(losses['support_closeness'], numbers['closeness'],
                     **EXACT)
        total = sum(v for key, v in losses.items() if 'loss' in key)
        assert_close(total, numbers[f'{branch_name}_total'], rtol=1e-9,
                     atol=1e-9)
        total.backward()
        branch, idle = getattr(head, branch_name), getattr(head, other)
        assert all(p.grad is None for p in idle.parameters())
        assert_close(branch.add_on[0].weight.grad[..., 0, 0],
                     numbers[f'{branch_name}_grad_conv0'], rtol=1e-9,
                     atol=1e-12)
        assert_close(branch.last_layer.weight.grad,
                     numbers[f'{branch_name}_grad_last_layer'], **EXACT)
        p = branch.prototypes.detach()
        found, known = (g - (g * p).sum(1, True) * p for g in (
            branch.prototypes.grad,
            numbers[f'{branch_name}_grad_prototypes']))
        assert_close(found, known, rtol=1e-9, atol=1e-12)
        head.finish_step()


def test_negative_cosines_of_the_own_class_still_teach(oracle):
    numbers = tensors(oracle('st_protopnet/cluster_negative_cosines'))
    head = head_with_weights(numbers, 'cropped')
    labels, classes = numbers['labels'], head.num_classes
    maps = head.branch_maps((numbers['features'], ))
    for name, branch in head.branches():
        cosine = strongest(cosine_map(maps[name], branch.prototypes))
        assert_close(cosine, numbers[f'{name}_cosine_max'], **EXACT)
        assert_close(cluster(cosine, labels, classes),
                     numbers[f'right_{name}_cluster'], **EXACT)
        assert_close(separation(cosine, labels, classes),
                     numbers[f'right_{name}_separation'], **EXACT)
    losses = head.loss((numbers['features'], ), samples_of(labels))
    losses['loss_cluster'].backward()
    assert head.trivial.prototypes.grad.abs().max() > 0


@pytest.mark.parametrize('layout', ['nhwc', 'tokens'])
def test_all_layouts_give_the_same(layout):
    torch.manual_seed(0)
    head = STProtoPNetHead(3, 6, 2, 4)
    torch.manual_seed(0)
    other = STProtoPNetHead(3, 6, 2, 4, layout=layout, num_prefix_tokens=(
        1 if layout == 'tokens' else 0))
    x = torch.randn(2, 6, 4, 4)
    moved = x.permute(0, 2, 3, 1)
    if layout == 'tokens':
        moved = torch.cat([torch.rand(2, 1, 6), moved.flatten(1, 2)], 1)
    assert_close(head((x, )), other((moved, )))


def test_classes_change_places_with_their_logits():
    head = STProtoPNetHead(5, 6, 3, 4)
    x = torch.randn(2, 6, 3, 3)
    before = head((x, ))
    order = torch.randperm(5)
    with torch.no_grad():
        for _, branch in head.branches():
            blocks = branch.prototypes.unflatten(0, (5, 3))
            branch.prototypes.copy_(blocks[order].flatten(0, 1))
    assert_close(head((x, )), before[:, order])


def train_step(head, optim, x, labels):
    losses = head.loss((x, ), samples_of(labels))
    optim.update_params(sum(v for k, v in losses.items() if 'loss' in k))
    return losses


def optim_of(head, **settings):
    wrapper = build_optim_wrapper(head, dict(
        optimizer=dict(type='Adam', lr=1e-2, weight_decay=1e-2), **settings))
    wrapper.optimizer.register_step_post_hook(lambda *_: head.finish_step())
    return wrapper


def test_branches_take_turns_and_the_idle_one_rests():
    head = STProtoPNetHead(3, 6, 2, 4)
    optim = optim_of(head)
    x, labels = torch.randn(4, 6, 3, 3), [0, 1, 2, 0]
    keys = set()
    for step in range(5):
        name, other = BRANCHES[step % 2], BRANCHES[1 - step % 2]
        assert head.active() == (name, )
        before = {key: value.clone()
                  for key, value in head.state_dict().items()}
        keys.add(tuple(train_step(head, optim, x, labels)))
        for key, value in head.state_dict().items():
            if key.startswith(other):
                assert torch.equal(before[key], value), key
        moved = getattr(head, name).prototypes
        assert not torch.equal(before[f'{name}.prototypes'], moved)
        for _, branch in head.branches():
            assert_close(branch.prototypes.norm(dim=1), torch.ones(6))
    assert len(keys) == 1
    assert int(head.steps) == 5


def test_the_turn_is_counted_by_updates_and_kept_in_the_state():
    head = STProtoPNetHead(3, 6, 2, 4)
    optim = optim_of(head, accumulative_counts=3)
    x, labels = torch.randn(4, 6, 3, 3), [0, 1, 2, 0]
    turns = []
    for _ in range(9):
        turns.append(head.active()[0])
        train_step(head, optim, x, labels)
    assert turns == 3 * ['trivial'] + 3 * ['support'] + 3 * ['trivial']
    other = STProtoPNetHead(3, 6, 2, 4)
    other.load_state_dict(head.state_dict())
    assert other.active() == head.active() == ('support', )


def test_both_branches_learn_without_turns():
    head = STProtoPNetHead(3, 6, 2, 4, alternate=False)
    before = [branch.prototypes.clone() for _, branch in head.branches()]
    train_step(head, optim_of(head), torch.randn(4, 6, 3, 3), [0, 1, 2, 0])
    for (_, branch), old in zip(head.branches(), before):
        assert not torch.equal(branch.prototypes, old)


def test_similarities_are_full_precision_under_autocast():
    head = STProtoPNetHead(3, 6, 2, 4)
    x = torch.randn(4, 6, 3, 3).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        losses = head.loss((x, ), samples_of([0, 1, 2, 0]))
    assert all(v.dtype == torch.float32 for v in losses.values())
    assert_close(losses['loss_ce'], head.loss(
        (x.float(), ), samples_of([0, 1, 2, 0]))['loss_ce'])


@pytest.mark.parametrize('settings, message', [
    (dict(num_classes=1), 'Give at least 2'),
    (dict(num_prototypes=0), 'give at least 1'),
    (dict(form='half'), 'choose one of full, cropped'),
    (dict(form='cropped', upsample=2), 'leaves it as it is'),
    (dict(layout='chwn'), 'unknown layout'),
])
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        STProtoPNetHead(**{**dict(num_classes=3, in_channels=6), **settings})


def test_more_prototypes_than_channels_are_warned_of():
    with pytest.warns(UserWarning, match='cannot be orthogonal'):
        STProtoPNetHead(3, 6, num_prototypes=5, channels=4)


def test_mixed_labels_are_refused():
    head = STProtoPNetHead(3, 6)
    mixed = DataSample().set_gt_label(0).set_gt_score(torch.ones(3) / 3)
    with pytest.raises(ValueError, match='Switch Mixup and CutMix'):
        head.loss((torch.randn(1, 6, 3, 3), ), [mixed])


def test_a_pooled_feature_is_refused():
    with pytest.raises(ValueError, match='a feature map is needed'):
        STProtoPNetHead(3, 6)((torch.randn(2, 6), ))
