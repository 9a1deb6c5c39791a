"""ECAML on Grocery81, for a CPU: 41 classes train, the other 40 are unseen."""
_base_ = [
    '../_base_/models/ecaml_mobilenet-v2_128.py',
    '../_base_/schedules/adam_100x100.py',
    '../_base_/datasets/unseen_pk65x2_224.py',
]

dataset = dict(
    type='CustomDataset',
    data_root='{{$CSD_DATA_ROOT:data}}/grocery81',
    data_prefix='images',
    classes='{{$CSD_DATA_ROOT:data}}/grocery81/meta/classes.txt')

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=128, crop_ratio_range=(0.5, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=146, edge='short'),
    dict(type='CenterCrop', crop_size=128),
    dict(type='PackInputs'),
]

test_photos = dict(
    **dataset, ann_file='meta/test.txt', pipeline=test_pipeline)
seen = dict(type='ClassSplit', classes='first-half', dataset=test_photos)
unseen = dict(
    type='ClassSplit', classes='last-half', unseen=True, dataset=test_photos)

train_dataloader = dict(
    batch_size=40,
    num_workers=2,
    pin_memory=False,
    sampler=dict(num_classes=20, num_images=2, num_batches=None),
    dataset=dict(
        type='ClassSplit',
        classes='first-half',
        dataset=dict(
            **dataset, ann_file='meta/train.txt', pipeline=train_pipeline)))
test_dataloader = dict(num_workers=2, dataset=unseen)

auto_scale_lr = dict(base_batch_size=40)
# Ten times the released rate: there are 8 steps in an epoch.
optim_wrapper = dict(optimizer=dict(lr=1e-4))
train_cfg = dict(max_epochs=12)

default_hooks = dict(
    channels_last=dict(type='ChannelsLastHook'),
    seen=dict(
        interval=4, query_dataloader=dict(num_workers=2, dataset=seen)),
    unseen=dict(
        interval=4, query_dataloader=dict(num_workers=2, dataset=unseen)))
