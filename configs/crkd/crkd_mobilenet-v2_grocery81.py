"""Cr-KD on Grocery81, for a CPU: 41 known classes, 40 clusters of the rest.

The backbone stays that of stage 1: 320 unlabelled photos are few.
"""
_base_ = './crkd_mobilenet-v2_grocery81_stage1.py'

model = dict(
    type='NovelClassDiscovery',
    backbone=dict(init_cfg=None),
    head=dict(
        num_novel=_base_.num_novel, hidden_channels=512, embed_dims=128),
    init_cfg=dict(
        type='Pretrained',
        checkpoint='work_dirs/crkd_mobilenet-v2_grocery81_stage1/epoch_15.pth'
    ))

classes = dict(
    type='NovelClasses', known=_base_.known, num_novel=_base_.num_novel)
views_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiView', num_views=2, transforms=[_base_.augmentation]),
    dict(type='PackInputs'),
]

# Of 320 photos about 160 are unlabelled: four for each cluster.
train_dataloader = dict(
    batch_size=320,
    dataset=dict(
        _delete_=True,
        **classes,
        dataset=dict(**_base_.train_photos, pipeline=views_pipeline)))

# The validation clusters the unlabelled training photos, whose labels it
# alone reads. The test classifies the test photos of all classes.
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        **classes,
        hide=False,
        dataset=dict(**_base_.train_photos, pipeline=_base_.test_pipeline)))
val_evaluator = dict(
    _delete_=True,
    type='ClusterAccuracy',
    mode='aware',
    num_known=_base_.num_known)
test_dataloader = dict(
    dataset=dict(
        _delete_=True, **classes, hide=False, dataset=_base_.test_photos))
test_evaluator = dict(
    _delete_=True,
    type='ClusterAccuracy',
    mode='agnostic',
    num_known=_base_.num_known)

auto_scale_lr = dict(base_batch_size=320)
max_epochs = 60
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=6),
    dict(
        type='CosineAnnealingLR', eta_min_ratio=0.1, begin=6, end=max_epochs),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=10)

default_hooks = dict(frozen_parts=dict(type='FrozenPartsHook'))
find_unused_parameters = True
