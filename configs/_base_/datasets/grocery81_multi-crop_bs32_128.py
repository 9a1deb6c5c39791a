"""Grocery81 for a CPU: two global crops of 128 px, four local ones of 64."""
_base_ = './multi-crop_bs64_224.py'

global_crop = dict(
    type='RandomResizedCrop', scale=128, crop_ratio_range=(0.4, 1.0))
local_crop = dict(
    type='RandomResizedCrop', scale=64, crop_ratio_range=(0.1, 0.4))
colours = _base_.colours
blur = _base_.blur

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiView',
        num_views=[1, 1, 4],
        transforms=[
            [global_crop, *colours, dict(blur, prob=1.0)],
            [
                global_crop, *colours,
                dict(blur, prob=0.1),
                dict(type='Solarize', thr=128, prob=0.2)
            ],
            [local_crop, *colours, dict(blur, prob=0.5)],
        ]),
    dict(type='PackInputs'),
]

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=146, edge='short'),
    dict(type='CenterCrop', crop_size=128),
    dict(type='PackInputs'),
]

dataset = dict(
    type='CustomDataset',
    data_root='{{$CSD_DATA_ROOT:data}}/grocery81',
    data_prefix='images',
    classes='{{$CSD_DATA_ROOT:data}}/grocery81/meta/classes.txt')

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    pin_memory=False,
    dataset=dict(
        _delete_=True,
        **dataset,
        ann_file='meta/train.txt',
        pipeline=train_pipeline))

# For KNNHook: labelled photos, none of them augmented.
gallery_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(
        **dataset, ann_file='meta/train.txt', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
query_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(**dataset, ann_file='meta/test.txt', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
