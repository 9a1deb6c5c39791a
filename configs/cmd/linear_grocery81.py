"""Linear probe on Grocery81: a linear layer on a frozen MobileNetV2.

Other weights for the backbone: tools/train.py CONFIG --weights FILE.
"""
_base_ = [
    '../_base_/models/mobilenet-v2_224.py',
    '../_base_/datasets/grocery81_bs16_224.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/linear_bs256_100e.py',
]

model = dict(
    head=dict(
        num_classes=81,
        loss=dict(_delete_=True, type='CrossEntropyLoss', loss_weight=1.0)))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=64, dataset=dict(pipeline=train_pipeline))

# Ten times the usual rate: there are only 1,100 steps.
optim_wrapper = dict(optimizer=dict(lr=0.01))

default_hooks = dict(
    channels_last=dict(type='ChannelsLastHook'),
    frozen_parts=dict(type='FrozenPartsHook'))
find_unused_parameters = True  # with several processes: the frozen ones
