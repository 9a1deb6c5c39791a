"""The plain classifier on Grocery81: what CSDNet is compared with."""
_base_ = [
    '../_base_/models/mobilenet-v2_224.py',
    '../_base_/datasets/grocery81_bs16_224.py',
    '../_base_/schedules/adamw_bs16_10e.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=81))

default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
