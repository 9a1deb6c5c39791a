"""CMD on Grocery81: real photos, from ImageNet's weights, on a CPU."""
_base_ = [
    '../_base_/models/cmd_mobilenet-v2_128.py',
    '../_base_/datasets/grocery81_multi-crop_bs32_128.py',
    '../_base_/schedules/self-distillation_bs256_20e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(
    checkpoint=dict(save_best=None),
    channels_last=dict(type='ChannelsLastHook'),
    knn=_base_.knn)
