"""Linear probe of a ViT-S on Grocery81: the last four class tokens.

The weights of the backbone: tools/train.py CONFIG --weights FILE.
"""
_base_ = './linear_grocery81.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='VisionTransformer',
        arch='deit-small',
        img_size=224,
        patch_size=16,
        out_indices=[8, 9, 10, 11]),
    neck=dict(_delete_=True, type='LastBlocksNeck', num_blocks=4),
    head=dict(in_channels=4 * 384))
