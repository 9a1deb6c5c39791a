"""CSDNet on Cotton80 with a ConvNeXt-B (ImageNet-21K weights)."""
_base_ = './cotton80.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ConvNeXt',
        arch='base',
        gap_before_final_norm=False,
        drop_path_rate=0.5,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/convnext/convnext-base_3rdparty_in21k_20220124-13b83eec.pth',  # noqa: E501
            prefix='backbone.')),
    neck=dict(in_channels=1024),
    head=dict(cls_head=dict(in_channels=1024), contrast=dict(feat_dim=1024)))

default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
