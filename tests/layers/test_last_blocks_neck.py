import pytest
import torch
from mmpretrain.registry import MODELS

from csd_mmpretrain.layers.last_blocks_neck import LastBlocksNeck


def vit(out_type):
    backbone = MODELS.build(
        dict(
            type='VisionTransformer',
            img_size=32,
            patch_size=8,
            arch=dict(
                embed_dims=16,
                num_layers=3,
                num_heads=2,
                feedforward_channels=24),
            out_indices=[0, 1, 2],
            out_type=out_type))
    backbone.eval()
    return backbone


def unit(x):
    return (x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt()


@pytest.mark.parametrize('out_type', ['cls_token', 'raw'])
@pytest.mark.parametrize('patch_mean', [False, True])
@pytest.mark.parametrize('num_blocks', [1, 2, 3])
def test_equals_one_token_after_another(out_type, patch_mean, num_blocks):
    if patch_mean and out_type == 'cls_token':
        pytest.skip('there are no patches')
    neck = LastBlocksNeck(num_blocks, patch_mean)
    assert not list(neck.parameters())
    with torch.no_grad():
        feats = vit(out_type)(torch.randn(3, 3, 32, 32))
        found, = neck(feats)
    for i, row in enumerate(found):
        expected = []
        for x in feats[3 - num_blocks:]:
            expected.append(unit(x[i, 0] if out_type == 'raw' else x[i]))
        if patch_mean:
            expected.append(unit(sum(feats[-1][i, 1:]) / 16))
        torch.testing.assert_close(row, torch.cat(expected))


def test_errors():
    feats = [torch.zeros(2, 8)] * 3
    with pytest.raises(ValueError, match='num_blocks=4, .* gives 3 outputs'):
        LastBlocksNeck()(feats)
    with pytest.raises(ValueError, match='without patch tokens'):
        LastBlocksNeck(1, patch_mean=True)(feats)
    with pytest.raises(ValueError, match='num_blocks=0 must be at least 1'):
        LastBlocksNeck(0)
    with pytest.raises(ValueError, match="4, 4.*no class token.*'cls_token'"):
        LastBlocksNeck(1)([torch.zeros(2, 8, 4, 4)])
