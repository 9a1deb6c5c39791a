"""CSDNet without its second view, on Grocery81: ArcFace, and DDL's queue."""
_base_ = './grocery81_arcface-head.py'

model = dict(
    neck=dict(gating='none'),
    head=dict(contrast=dict(loss_weight=3.0), distill=None))

default_hooks = dict(
    ssdp=dict(enabled=False), imprint=dict(type='ImprintHook'))
max_epochs = 20
param_scheduler = [_base_.param_scheduler[0],
                   dict(_base_.param_scheduler[1], end=max_epochs)]
train_cfg = dict(max_epochs=max_epochs)
