"""CSDNet on Cotton80 with a MobileNetV2 (ImageNet-1K weights)."""
_base_ = './cotton80.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth',  # noqa: E501
            prefix='backbone.')),
    neck=dict(in_channels=1280),
    head=dict(cls_head=dict(in_channels=1280), contrast=dict(feat_dim=1280)))

# CNNs take a larger step than transformers: base lr 4e-3 (choice).
optim_wrapper = dict(optimizer=dict(lr=4e-3 * 12 / 512))

default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
