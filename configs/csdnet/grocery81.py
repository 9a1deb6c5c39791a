"""CSDNet on Grocery81: real photos, small enough for a CPU."""
_base_ = [
    '../_base_/models/csdnet_mobilenet-v2_224.py',
    '../_base_/datasets/grocery81_bs16_224.py',
    '../_base_/schedules/adamw_bs16_10e.py',
]

model = dict(
    head=dict(cls_head=dict(num_classes=81), contrast=dict(queue_len=648)))

default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
