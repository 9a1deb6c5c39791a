"""Contexts and targets against the reference and loops."""
import math

import pytest
import torch

from csd_mmpretrain.methods.jepa.masked_smooth_l1 import masked_smooth_l1
from csd_mmpretrain.methods.jepa.positions import sincos_positions
from csd_mmpretrain.methods.jepa.sequence import (
    Targets,
    first_kept,
    flat,
    pad,
    reorder,
    sequential,
)
from csd_mmpretrain.methods.jepa.step_plan import plan_step


def test_sequence_of_the_reference(reference):
    data = reference('sequence_masks')
    targets = sequential(data['regions'])
    assert torch.equal(targets.context, data['right_context'])
    assert torch.equal(targets.target[:, :, 0], data['right_target'])
    assert torch.equal(targets.valid[:, :, 0], data['right_valid'])


def test_flat_and_sequential_agree_on_two_parts():
    parts = torch.rand(5, 2, 12) < .5
    parts[:, 1] &= ~parts[:, 0]
    for one, other in zip(flat(parts), sequential(parts)):
        assert torch.equal(one, other)


def test_what_is_seen_is_not_predicted():
    targets = sequential(torch.rand(9, 4, 30) < .4)
    assert not (targets.context[:, :, None] & targets.target).any()


def test_padding_adds_nothing_valid():
    targets = flat(torch.rand(3, 4, 10) < .5)
    padded = pad(targets, 5, 6)
    assert padded.target.shape == (3, 5, 6, 10)
    assert padded.valid.sum() == targets.valid.sum()


def test_orders():
    regions = torch.zeros(1, 5, 6, dtype=torch.bool)
    for row, places in ((0, [4]), (1, [0, 1]), (2, [2]), (4, [3, 5])):
        regions[0, row, places] = True
    draws = torch.tensor([[.9, .1, .5, .2]])

    def first(order):
        found = reorder(regions, order, draws)
        assert torch.equal(found[:, 4], regions[:, 4])
        assert not found[:, 3].any()
        return found[0, :3].int().argmax(-1).tolist()

    assert first('falling') == [4, 0, 2]
    assert first('rising') == [2, 0, 4]
    assert first('spatial') == [0, 2, 4]
    assert first('random') == [0, 2, 4]


def test_places_of_a_mask():
    masks = torch.rand(20, 17) < .4
    index, valid = first_kept(masks, int(masks.sum(1).max()))
    for mask, row, kept in zip(masks, index, valid):
        assert row[kept].tolist() == mask.nonzero().flatten().tolist()
        assert len(set(row.tolist())) == len(row)


def test_blocks_of_an_image_stand_together(reference):
    data = reference('block_index_masks')
    places = torch.stack([data['block0'], data['block1']], 1)
    blocks = data['right'].view(2, 1, 2, -1)
    plan = plan_step(Targets(~blocks.any(2), blocks), torch.device('cpu'))
    assert torch.equal(plan.target, places.flatten(0, 1))
    assert plan.target_valid.all() and plan.pair.tolist() == [0, 0, 1, 1]


def test_loss_of_the_reference(reference):
    data = reference('masked_loss')
    prediction = data['prediction'].requires_grad_()
    loss = masked_smooth_l1(prediction, data['target'], data['mask'])
    loss.backward()
    torch.testing.assert_close(loss.detach(), data['loss'])
    torch.testing.assert_close(prediction.grad, data['grad'])
    nothing = masked_smooth_l1(
        prediction, data['target'], torch.zeros_like(data['mask']))
    assert nothing == 0


def test_positions_of_the_reference(reference):
    data = reference('positions')
    grid, dim = int(data['grid']), int(data['dim'])
    torch.testing.assert_close(
        sincos_positions((grid, grid), dim), data['embedding'])


def test_positions_of_a_grid_that_is_not_square():
    table = sincos_positions((2, 3), 8)
    for place in range(6):
        y, x = divmod(place, 3)
        right = [f(v * w) for v in (x, y) for f in (math.sin, math.cos)
                 for w in (1., .01)]
        assert table[place].tolist() == pytest.approx(right)
