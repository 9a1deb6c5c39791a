import pytest
import torch

from csd_mmpretrain.layers.block_means_neck import BlockMeansNeck


@pytest.mark.parametrize('num_blocks', [1, 2, 3])
def test_a_loop_over_blocks(num_blocks):
    maps = [torch.randn(5, 4, 3, 2) for _ in range(3)]
    neck = BlockMeansNeck(4, num_blocks)
    found, = neck(maps)
    columns = [x[:, c].mean((1, 2)) for x in maps[3 - num_blocks:]
               for c in range(4)]
    expected = [(x - x.mean()) / (x.var(correction=0) + neck.norm.eps).sqrt()
                for x in columns]
    torch.testing.assert_close(found, torch.stack(expected, 1))


@pytest.mark.parametrize('feats', [
    [torch.zeros(2, 4, 3, 3)], [torch.zeros(2, 4)] * 2])
def test_other_outputs_are_refused(feats):
    with pytest.raises(ValueError, match='num_blocks=2 needs as many maps'):
        BlockMeansNeck(4, 2)(feats)
