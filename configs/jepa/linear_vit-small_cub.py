"""Linear probe of a ViT-S on CUB: the mean patch of the last block.

The weights of the backbone: tools/train.py CONFIG --weights FILE.
"""
_base_ = [
    '../_base_/datasets/cub_bs12_448.py',
    '../_base_/schedules/linear_bs256_28e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='VisionTransformer',
        arch='deit-small',
        img_size=224,
        patch_size=16,
        out_type='featmap'),
    neck=dict(type='BlockMeansNeck', in_channels=384),
    head=dict(
        type='LinearClsHead',
        num_classes=200,
        in_channels=384,
        loss=dict(type='CrossEntropyLoss', loss_weight=0.5)))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=32, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=32, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

default_hooks = dict(frozen_parts=dict(type='FrozenPartsHook'))
find_unused_parameters = True  # with several processes: the frozen ones
