"""Linear probe of a ViT-S on CUB: the mean patches of the last four blocks.

The weights of the backbone: tools/train.py CONFIG --weights FILE.
"""
_base_ = './linear_vit-small_cub.py'

model = dict(
    backbone=dict(out_indices=[8, 9, 10, 11]),
    neck=dict(num_blocks=4),
    head=dict(in_channels=4 * 384))
