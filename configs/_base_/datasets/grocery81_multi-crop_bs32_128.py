"""Grocery81 for a CPU: two global crops of 128 px, four local ones of 64."""
_base_ = './multi-crop_bs64_224.py'

global_crop = dict(
    type='RandomResizedCrop', scale=128, crop_ratio_range=(0.4, 1.0))
local_crop = dict(
    type='RandomResizedCrop', scale=64, crop_ratio_range=(0.1, 0.4))
flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')

# Groceries differ in color, so colors stay: docs/methods/cmd.md.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiView',
        num_views=[2, 4],
        transforms=[[global_crop, flip], [local_crop, flip]]),
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

# For KNNHook: the training photos look for each other, not augmented, so that
# no setting is chosen on test photos.
query_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(
        **dataset, ann_file='meta/train.txt', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
knn = dict(
    type='KNNHook',
    query_dataloader=query_dataloader,
    metrics=[dict(type='RetrievalMetric', protocol='leave-one-out')],
    interval=5)
