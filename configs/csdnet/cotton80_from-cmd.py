"""CSDNet on Cotton80, from a Swin-T that CMD has trained on its leaves.

Made by tools/model_converters/export_backbone.py.
"""
_base_ = './cotton80.py'

model = dict(
    backbone=dict(
        arch='tiny',
        drop_path_rate=0.2,
        init_cfg=dict(
            checkpoint='work_dirs/cmd_swin-tiny_cotton80/backbone.pth')),
    neck=dict(in_channels=768),
    head=dict(cls_head=dict(in_channels=768), contrast=dict(feat_dim=768)))
