"""CSDNet on Cotton80 with a ResNet-50 (ImageNet-1K weights)."""
_base_ = './cotton80.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=50,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth',  # noqa: E501
            prefix='backbone.')),
    neck=dict(in_channels=2048),
    head=dict(cls_head=dict(in_channels=2048), contrast=dict(feat_dim=2048)))

# CNNs take a larger step than transformers: base lr 4e-3 (choice).
optim_wrapper = dict(optimizer=dict(lr=4e-3 * 12 / 512))

default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
