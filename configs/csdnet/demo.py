"""CSDNet on drawn leaves: a small network, from scratch, in minutes."""
_base_ = [
    '../_base_/models/csdnet_mobilenet-v2_224.py',
    '../_base_/datasets/synthetic_leaves_bs16_128.py',
    '../_base_/schedules/sgd_bs16_16e.py',
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
    neck=dict(in_channels=128, gating='residual'),
    head=dict(
        cls_head=dict(num_classes=20, in_channels=128),
        contrast=dict(feat_dim=128, queue_len=480)))

default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
