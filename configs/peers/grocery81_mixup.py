"""Mixup on Grocery81: images and labels of a batch mixed in pairs."""
_base_ = './grocery81_baseline.py'

model = dict(train_cfg=dict(augments=dict(type='Mixup', alpha=0.2)))
