"""CMD on Grocery81: a small ViT from random weights, for a CPU."""
_base_ = [
    '../_base_/models/jepa_vit-tiny_96.py',
    '../_base_/datasets/grocery81_one-crop_bs64_96.py',
    '../_base_/schedules/self-distillation_bs256_20e.py',
    '../_base_/default_runtime.py',
]

neck = dict(
    type='CMDNeck',
    in_channels=96,
    num_prototypes=256,
    hidden_channels=192,
    bottleneck_channels=64)
model = dict(
    _delete_=True,
    type='CMD',
    backbone=_base_.model.backbone,
    neck=neck,
    region_neck=neck,
    head=dict(type='CMDHead', num_prototypes=256),
    layout='tokens',
    num_prefix_tokens=1)

global_crop = dict(
    type='RandomResizedCrop', scale=96, crop_ratio_range=(0.4, 1.0))
local_crop = dict(
    type='RandomResizedCrop', scale=48, crop_ratio_range=(0.1, 0.4))
flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiView',
        num_views=[2, 4],
        transforms=[[global_crop, flip], [local_crop, flip]]),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

default_hooks = dict(checkpoint=dict(save_best=None), knn=_base_.knn)
