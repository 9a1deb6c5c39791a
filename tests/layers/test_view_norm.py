import pytest
import torch
from torch import nn

from csd_mmpretrain.layers.view_norm import view_norm


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2, momentum=None),
        nn.GroupNorm(1, 2))


def statistics(module):
    return {name: value.clone() for name, value in module.named_buffers()}


def changed(before, after):
    return [name for name in before if not before[name].equal(after[name])]


@pytest.mark.parametrize('norm', ['shared', 'batch', 'frozen'])
@pytest.mark.parametrize('synced', [False, True])
def test_second_pass_against_layers_set_by_hand(norm, synced):
    first, second = torch.randn(2, 5, 3, 9, 9)
    module, by_hand = network().train(), network().train()
    if synced:  # an ordinary batch norm in one process without a group
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    module(first), by_hand(first)
    before = statistics(module)
    if norm == 'frozen':
        by_hand.eval()
    expected = by_hand(second)
    with view_norm(module, norm):
        out = module(second)
    assert torch.equal(out, expected)

    after = statistics(module)
    assert bool(changed(before, after)) == (norm == 'shared')
    if norm == 'shared':
        assert not changed(statistics(by_hand), after)
    out.square().sum().backward()
    expected.square().sum().backward()
    for ours, theirs in zip(module.parameters(), by_hand.parameters()):
        assert torch.equal(ours.grad, theirs.grad)

    # The next pass is an ordinary one again, also after an error.
    with pytest.raises(RuntimeError), view_norm(module, norm):
        module(torch.zeros(1))
    module(second * 2 + first)
    assert len(changed(after, statistics(module))) == 6
    assert all(layer.training for layer in module.modules())


@pytest.mark.parametrize('norm', ['batch', 'frozen'])
def test_layers_that_are_frozen_stay_so(norm):
    module = network().train()
    module[1].eval()
    module[4].track_running_stats = False
    before = statistics(module)
    with view_norm(module, norm):
        module(torch.randn(5, 3, 9, 9))
        assert module[4].training
    module(torch.randn(5, 3, 9, 9))
    assert not changed(before, statistics(module))
    assert not module[1].training and not module[4].track_running_stats


def test_synced_layers_keep_statistics_to_update():
    """Without any, those of a GPU refuse half precision."""
    module = nn.SyncBatchNorm.convert_sync_batchnorm(network()).train()
    seen = []
    for layer in module[1], module[4]:
        layer.register_forward_pre_hook(
            lambda layer, _: seen.append(layer.track_running_stats))
    with view_norm(module, 'batch'):
        module(torch.randn(5, 3, 9, 9))
    assert seen == [True, True]
