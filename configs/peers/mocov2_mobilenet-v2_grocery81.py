"""MoCo v2 of mmpretrain, with the photos, global crops and backbone of CMD."""
_base_ = '../cmd/cmd_mobilenet-v2_grocery81.py'

model = dict(
    _delete_=True,
    type='MoCo',
    backbone=_base_.model.backbone,
    queue_len=640,  # the photos that an epoch sends
    feat_dim=128,
    momentum=0.004,
    neck=dict(
        type='MoCoV2Neck',
        in_channels=1280,
        hid_channels=512,
        out_channels=128,
        with_avg_pool=True),
    head=dict(
        type='ContrastiveHead',
        loss=dict(type='CrossEntropyLoss'),
        temperature=0.2))

# The two global crops, in batches that fill the queue evenly.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiView',
        num_views=2,
        transforms=_base_.train_pipeline[1]['transforms'][:1]),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    dataset=dict(pipeline=train_pipeline),
    batch_sampler=dict(drop_last=True))

custom_hooks = []
