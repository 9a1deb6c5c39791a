"""CSDNet on MobileNetV2 at 224 px: the same parts on another backbone."""
_base_ = './csdnet_swin-base_448.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        widen_factor=1.0,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth',  # noqa: E501
            prefix='backbone.')),
    neck=dict(in_channels=1280),
    head=dict(cls_head=dict(in_channels=1280), contrast=dict(feat_dim=1280)))
