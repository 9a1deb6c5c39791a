"""Linear probe of the small ViT on Grocery81: the mean patches of all blocks.

The weights of the backbone: tools/train.py CONFIG --weights FILE.
"""
_base_ = [
    '../_base_/models/jepa_vit-tiny_96.py',
    '../_base_/datasets/grocery81_bs32_96.py',
    '../_base_/schedules/linear_bs256_28e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    _delete_=True,
    type='ImageClassifier',
    backbone=dict(
        _base_.model.backbone, out_type='featmap', out_indices=[0, 1, 2]),
    neck=dict(type='BlockMeansNeck', in_channels=96, num_blocks=3),
    head=dict(
        type='LinearClsHead',
        num_classes=81,
        in_channels=3 * 96,
        loss=dict(type='CrossEntropyLoss', loss_weight=0.5)))

# Ten times the published rate: there are only 588 steps.
optim_wrapper = dict(optimizer=dict(lr=0.1))

default_hooks = dict(frozen_parts=dict(type='FrozenPartsHook'))
find_unused_parameters = True  # with several processes: the frozen ones
