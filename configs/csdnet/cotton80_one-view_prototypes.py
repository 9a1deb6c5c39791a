"""CSDNet with one view on Cotton80: ArcFace, the queue as prototypes."""
_base_ = './cotton80.py'

model = dict(
    neck=dict(gating='none'),
    head=dict(
        cls_head=dict(
            _delete_=True,
            type='BoundedArcFaceClsHead',
            num_classes=80,
            in_channels=1024,
            scale=16.0,
            margins=0.2,
            loss=dict(type='CrossEntropyLoss')),
        contrast=dict(
            _delete_=True,
            type='PrototypeQueueLoss',
            num_classes=80,
            feat_dim=1024,
            queue_len=240,
            spread=4.0),
        distill=None))

default_hooks = dict(
    ssdp=dict(enabled=False), imprint=dict(type='ImprintHook'))
# One view for twice the epochs of two: the same compute.
max_epochs = 400
param_scheduler = [_base_.param_scheduler[0],
                   dict(_base_.param_scheduler[1], end=max_epochs)]
train_cfg = dict(max_epochs=max_epochs)
