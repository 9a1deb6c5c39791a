"""Grocery81 for a CPU: one crop of 96 px, and flips."""
_base_ = './grocery81_multi-crop_bs32_128.py'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=96, crop_ratio_range=(0.3, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=110, edge='short'),
    dict(type='CenterCrop', crop_size=96),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=64, dataset=dict(pipeline=train_pipeline))
query_dataloader = dict(dataset=dict(pipeline=test_pipeline))
knn = dict(query_dataloader=query_dataloader)
