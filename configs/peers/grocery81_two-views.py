"""The control of two views: a second augmentation, and cross entropy."""
_base_ = './grocery81_two-views-distilled.py'

model = dict(neck=dict(gating='none'), head=dict(contrast=None, distill=None))
