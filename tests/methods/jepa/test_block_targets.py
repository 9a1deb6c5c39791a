"""Blocks against the reference's sizes and a loop over images."""
import pytest
import torch
from mmpretrain.registry import MODELS

from csd_mmpretrain.methods.jepa.batch_draws import BatchDraws
from csd_mmpretrain.methods.jepa.block_targets import (
    BlockTargets,
    block_size,
    place_blocks,
)
from csd_mmpretrain.methods.jepa.region_targets import RegionTargets
from csd_mmpretrain.methods.jepa.sequence import flat, sequential

GRID = (14, 14)


def test_sizes_of_the_reference(reference):
    data = reference('block_sizes')
    for name, scale, ratio in (('target', (.15, .2), (.75, 1.5)),
                               ('context', (.85, 1.), (1., 1.))):
        sizes = [block_size(u, scale, ratio, GRID)
                 for u in data[f'random_number_{name}'].tolist()]
        # The reference never fills the grid.
        sizes = torch.tensor(sizes).clamp(max=13).double()
        assert torch.equal(sizes, data[f'{name}_height_width'])


def test_places():
    draws = torch.tensor([[0., 0.], [.999, .999], [.5, 0.]])
    masks = place_blocks(draws, (2, 3), (4, 5)).unflatten(1, (4, 5))
    corners = [(0, 0), (2, 2), (1, 0)]
    for mask, (top, left) in zip(masks, corners):
        right = torch.zeros(4, 5, dtype=torch.bool)
        right[top:top + 2, left:left + 3] = True
        assert torch.equal(mask, right)


def test_every_patch_is_a_target_and_a_context():
    blocks = BlockTargets()
    target = torch.zeros(196, dtype=torch.long)
    context = target.clone()
    for step in range(40):
        masks = blocks(BatchDraws(0, step, 50), GRID)
        target += masks.target.sum((0, 1, 2))
        context += masks.context.sum((0, 1))
    assert target.min() > 0 and context.min() > 0


@pytest.mark.parametrize('grid', [(14, 14), (8, 11), (5, 20)])
def test_a_context_has_no_target_and_enough_patches(grid):
    blocks = BlockTargets(min_keep=4)
    blocks.check_grid(grid)
    for step in range(20):
        masks = blocks(BatchDraws(1, step, 30), grid)
        assert (masks.context.sum(-1) > 4).all()
        assert (masks.target.sum(-1) > 4).all()
        assert len(masks.target.sum(-1).unique()) == 1
        overlap = (masks.context[:, :, None] & masks.target).any(-1)
        assert overlap.float().mean() < .01


def test_a_context_that_targets_cover_may_overlap_the_last_of_them():
    blocks = BlockTargets(target_scale=(1., 1.), target_ratio=(1., 1.))
    masks = blocks(BatchDraws(0, 0, 5), GRID)
    assert (masks.context.sum(-1) > 10).all()


def test_draws_do_not_depend_on_what_else_is_drawn():
    one = BlockTargets()(BatchDraws(3, 5, 8), GRID)
    other = BlockTargets()(BatchDraws(3, 5, 8), GRID)
    assert torch.equal(one.target, other.target)
    other = BlockTargets()(BatchDraws(3, 6, 8), GRID)
    assert not torch.equal(one.target, other.target)


@pytest.mark.parametrize('curriculum', ['step', 'sample'])
def test_a_curriculum_of_zero_is_ijepa(curriculum):
    regions = RegionTargets(curriculum=curriculum, end=0.)
    scores = torch.rand(6, 196)
    found = regions(BatchDraws(0, 9, 6), GRID, 1., scores)
    right = BlockTargets()(BatchDraws(0, 9, 6), GRID)
    assert found.valid.sum() == right.valid.sum()
    assert torch.equal(found.context[:, :1], right.context)
    assert torch.equal(found.target[:, :1, :4], right.target)


@pytest.mark.parametrize('curriculum', ['step', 'sample', 'region'])
@pytest.mark.parametrize('sequence', [True, False])
def test_a_curriculum_of_one_takes_all_regions(curriculum, sequence):
    generator = RegionTargets(
        curriculum=curriculum, start=1., min_area=.02, sequence=sequence)
    scores = torch.nn.functional.interpolate(
        torch.randn(6, 1, 5, 5), size=GRID, mode='bicubic').flatten(1)
    found = generator(BatchDraws(0, 9, 6), GRID, 0., scores)
    regions = generator.regions(scores, GRID)
    right = (sequential if sequence else flat)(regions)
    contexts, count = right.target.shape[1:3]
    assert found.valid.sum() == right.valid.sum()
    assert torch.equal(found.target[:, :contexts, :count], right.target)


def test_the_curriculum_mixes_images_and_regions():
    scores = torch.nn.functional.interpolate(
        torch.randn(40, 1, 5, 5), size=GRID, mode='bicubic').flatten(1)
    shares = []
    for curriculum in ('step', 'sample', 'region'):
        generator = RegionTargets(curriculum=curriculum)
        blocks = 0
        for step in range(40):
            found = generator(BatchDraws(0, step, 40), GRID, .25, scores)
            blocks += (found.target.size(2) == 4 and
                       found.valid[:, 0, 3].float().mean().item())
        shares.append(blocks / 40)
    assert .6 < shares[0] < .9 and .65 < shares[1] < .85 and not shares[2]


@pytest.mark.parametrize('kind, change, message', [
    ('BlockTargets', dict(num_targets=0), 'num_targets=0'),
    ('BlockTargets', dict(min_keep=-1), 'min_keep=-1'),
    ('BlockTargets', dict(target_scale=(.2, .1)), 'target_scale'),
    ('BlockTargets', dict(context_scale=(.5, 1.1)), 'at most 1'),
    ('RegionTargets', dict(num_regions=1), 'num_regions=1'),
    ('RegionTargets', dict(min_area=0.), 'min_area=0.0'),
    ('RegionTargets', dict(min_area=1.), 'min_area=1.0'),
    ('RegionTargets', dict(start=1.5), 'start=1.5'),
    ('RegionTargets', dict(order='best'), "order='best'"),
    ('RegionTargets', dict(query='cls'), "query='cls'"),
    ('RegionTargets', dict(curriculum='epoch'), "curriculum='epoch'"),
])
def test_bad_arguments(kind, change, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type=kind, **change))


@pytest.mark.parametrize('change, name', [
    (dict(), 'target_scale'),
    (dict(min_keep=8, context_scale=(.1, .2)), 'context_scale'),
])
def test_a_grid_that_is_too_small(change, name):
    with pytest.raises(ValueError, match=f'{name}.*8 x 8.*min_keep'):
        BlockTargets(**change).check_grid((8, 8))
