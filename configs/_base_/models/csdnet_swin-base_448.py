"""CSDNet on Swin-B at 448 px: the plain classifier, its parts added."""
_base_ = ['./swin-base_448.py', '../default_runtime.py']

model = dict(
    neck=dict(
        _delete_=True,
        type='SSDPNeck',
        in_channels=1024,
        kernel='gap',
        gating='multiply'),
    head=dict(
        _delete_=True,
        type='CSDHead',
        cls_head=_base_.model.head,
        contrast=dict(
            type='DDLQueueLoss',
            feat_dim=1024,
            queue_len=1024,
            margin=0.4,
            loss_weight=1.0),
        distill=dict(
            type='SSDTLoss',
            temperature=3.0,
            direction='mutual',
            loss_weight=1.0)))

default_hooks = dict(
    ssdp=dict(
        type='SSDPHook',
        view=dict(
            type='DiscrepancyMaskView',
            mode='keep',
            threshold='mean',
            area=(0.1, 0.9))))
