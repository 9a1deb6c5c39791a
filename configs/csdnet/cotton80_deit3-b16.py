"""CSDNet on Cotton80 with a DeiT III-B/16 (ImageNet-21K weights)."""
_base_ = './cotton80.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='DeiT3',
        arch='b',
        img_size=448,
        patch_size=16,
        out_type='featmap',
        drop_path_rate=0.15,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/deit3/deit3-base-p16_in21k-pre_3rdparty_in1k-384px_20221009-5e4e37b9.pth',  # noqa: E501
            prefix='backbone.')),
    neck=dict(in_channels=768),
    head=dict(cls_head=dict(in_channels=768), contrast=dict(feat_dim=768)))

find_unused_parameters = True
