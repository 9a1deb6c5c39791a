"""Stage 1 of Cr-KD on Grocery81, for a CPU: 41 known classes."""
_base_ = [
    '../_base_/models/crkd_mobilenet-v2_128.py',
    '../_base_/schedules/crkd_bs512_50e.py',
    '../_base_/datasets/novel_bs512_224.py',
]

known = 'even'
num_known = 41
num_novel = 40
photos = dict(
    type='CustomDataset',
    data_root='{{$CSD_DATA_ROOT:data}}/grocery81',
    data_prefix='images',
    classes='{{$CSD_DATA_ROOT:data}}/grocery81/meta/classes.txt')

augmentation = [
    dict(type='RandomResizedCrop', scale=128, crop_ratio_range=(0.5, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    *augmentation,
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=146, edge='short'),
    dict(type='CenterCrop', crop_size=128),
    dict(type='PackInputs'),
]
train_photos = dict(**photos, ann_file='meta/train.txt')
test_photos = dict(
    **photos, ann_file='meta/test.txt', pipeline=test_pipeline)

model = dict(head=dict(num_known=num_known))

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    pin_memory=False,
    dataset=dict(
        type='ClassSplit',
        classes=known,
        dataset=dict(**train_photos, pipeline=train_pipeline)))
val_dataloader = dict(
    num_workers=2,
    dataset=dict(type='ClassSplit', classes=known, dataset=test_photos))
test_dataloader = val_dataloader

auto_scale_lr = dict(base_batch_size=32)
max_epochs = 15
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=2),
    dict(
        type='CosineAnnealingLR', eta_min_ratio=0.1, begin=2, end=max_epochs),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=5)

default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
