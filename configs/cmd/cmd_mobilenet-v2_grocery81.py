"""CMD on Grocery81: real photos, from ImageNet's weights, on a CPU."""
_base_ = [
    '../_base_/datasets/grocery81_multi-crop_bs32_128.py',
    '../_base_/schedules/self-distillation_bs256_300e.py',
    '../_base_/default_runtime.py',
]

neck = dict(
    type='CMDNeck',
    in_channels=1280,
    num_prototypes=1024,
    hidden_channels=512,
    bottleneck_channels=128)
model = dict(
    type='CMD',
    backbone=dict(
        type='MobileNetV2',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth',  # noqa: E501
            prefix='backbone.')),
    neck=neck,
    region_neck=neck,
    head=dict(type='CMDHead', num_prototypes=1024))

max_epochs = 20
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=2, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        begin=2,
        end=max_epochs,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingParamScheduler',
        param_name='weight_decay',
        eta_min_ratio=10,
        end=max_epochs,
        convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs)
custom_hooks = [
    dict(type='SelfDistillationHook', temp_warmup_epochs=5),
    dict(type='CollapseCheckHook', interval=5),
]

default_hooks = dict(
    checkpoint=dict(save_best=None),
    channels_last=dict(type='ChannelsLastHook'))
