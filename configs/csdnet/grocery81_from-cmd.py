"""CSDNet on Grocery81, from a backbone that CMD has trained on its photos.

Made by tools/model_converters/export_backbone.py.
"""
_base_ = './grocery81.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='work_dirs/cmd_mobilenet-v2_grocery81/backbone.pth')))
