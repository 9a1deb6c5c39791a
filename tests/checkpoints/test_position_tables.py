"""Weights of another window or image size fit Swin and BEiT."""
import logging

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.runner import load_state_dict
from mmpretrain.registry import MODELS
from torch import nn

from csd_mmpretrain.checkpoints.position_tables import (
    resize_position_table,
    resize_position_tables,
)

SWIN = dict(type='SwinTransformer', img_size=64, pad_small_map=True, arch=dict(
    embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 2]))
BEIT = dict(type='BEiTViT', patch_size=8, arch=dict(
    embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=16))
CHANGES = {
    'swin, smaller': (dict(SWIN, window_size=7), dict(SWIN, window_size=4)),
    'swin, larger': (dict(SWIN, window_size=4), dict(SWIN, window_size=9)),
    'beit, larger': (dict(BEIT, img_size=32), dict(BEIT, img_size=48)),
    'beit, not square': (dict(BEIT, img_size=32), dict(BEIT,
                                                       img_size=(32, 64))),
}


class Model(BaseModule):

    def __init__(self, backbone):
        super().__init__()
        self.backbone = MODELS.build(backbone)
        resize_position_tables(self)


@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_weights_of_another_size_load_whole(change, prefix):
    old, new = CHANGES[change]
    weights = MODELS.build(old).state_dict()
    for name in weights:
        if 'bias_table' in name:
            weights[name] = torch.randn_like(weights[name])
    model = Model(new)
    module = model if prefix else model.backbone
    state = {prefix + name: value for name, value in weights.items()}
    keys = module.load_state_dict(state, strict=False)
    assert not keys.missing_keys and not keys.unexpected_keys
    load_state_dict(module, state, logger=logging.getLogger())
    tables = 0
    for name, value in model.backbone.state_dict().items():
        if 'bias_table' in name:
            extra = 3 * ('beit' in change)
            layer = model.backbone.get_submodule(name.rpartition('.')[0])
            size = [2 * side - 1 for side in layer.window_size]
            torch.testing.assert_close(
                value, resize_position_table(weights[name], size, extra))
            tables += 1
    assert tables in (2, 4)
    height, width = new['img_size'] if isinstance(
        new['img_size'], tuple) else [new['img_size']] * 2
    assert model.backbone(torch.rand(1, 3, height, width))[-1].isfinite().all()


def test_equal_sizes_stay_as_they_are():
    weights = MODELS.build(dict(SWIN, window_size=7)).state_dict()
    model = Model(dict(SWIN, window_size=7))
    model.backbone.load_state_dict(weights)
    assert all(torch.equal(value, weights[name])
               for name, value in model.backbone.state_dict().items())


def test_the_table_that_beit_shares_is_resized():
    old, new = (dict(BEIT, img_size=size) for size in (32, 48))
    weights = MODELS.build(old).state_dict()
    tables = [name for name in weights if 'bias_table' in name]
    shared = torch.randn_like(weights[tables[0]])
    for name in tables:
        del weights[name], weights[name.replace('bias_table', 'index')]
    weights['rel_pos_bias.relative_position_bias_table'] = shared
    weights['rel_pos_bias.relative_position_index'] = torch.zeros(())
    backbone = Model(new).backbone
    backbone.load_state_dict(weights, strict=False)
    for name in tables:
        assert torch.equal(backbone.state_dict()[name],
                           resize_position_table(shared, [11, 11], 3))


@pytest.mark.parametrize('heads', [1, 3])
@pytest.mark.parametrize('side, extra', [(3, 0), (7, 0), (7, 3)])
def test_the_grid_is_interpolated_and_the_rest_kept(heads, side, extra):
    ramp = torch.arange(side).double() / (side - 1)
    grid = (ramp[:, None] + 2 * ramp).reshape(-1, 1).repeat(1, heads)
    rest = torch.full((extra, heads), 9.).double()
    found = resize_position_table(torch.cat([grid, rest]), [5, 9], extra)
    assert found.shape == (45 + extra, heads) and found.dtype == grid.dtype
    assert torch.equal(found[45:], rest)
    middle = found[:45].view(5, 9, heads)
    torch.testing.assert_close(middle[2, 4], torch.full((heads, ), 1.5,
                                                        dtype=grid.dtype))
    assert (middle.diff(dim=0) > 0).all() and (middle.diff(dim=1) > 0).all()


def test_a_window_that_is_not_square_names_the_remedy():
    with pytest.raises(ValueError, match='35 rows.*not square.*window size'):
        resize_position_table(torch.zeros(35, 2), [5, 5], 0)


def test_other_models_are_left_alone():
    model = nn.Linear(2, 2)
    resize_position_tables(model)
    assert not model._load_state_dict_pre_hooks
