"""CSDNet on drawn leaves: a small network, from scratch, in minutes."""
_base_ = [
    '../_base_/models/csdnet_mobilenet-v2_224.py',
    '../_base_/datasets/synthetic_leaves_bs16_128.py',
    '../_base_/schedules/adamw_bs16_10e.py',
]

# A ResNet-18 of half width without its last stage: the map is 8 x 8.
model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=18,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2, ),
        stem_channels=32,
        base_channels=32),
    neck=dict(in_channels=128),
    head=dict(
        cls_head=dict(num_classes=20, in_channels=128),
        ddl=dict(feat_dim=128, queue_len=160)))

default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))

max_epochs = 30
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys={'head.': dict(lr_mult=1.0)}))
auto_scale_lr = dict(base_batch_size=16)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.01, end=1, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.01,
        begin=1,
        end=max_epochs,
        convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
