"""Cr-KD on Stanford Cars: 98 known models, clusters of the other 98."""
_base_ = './crkd_vit-base_stanford-cars_stage1.py'

model = dict(
    type='NovelClassDiscovery',
    backbone=dict(init_cfg=None),
    head=dict(num_novel=_base_.num_novel),
    init_cfg=dict(
        type='Pretrained',
        checkpoint='work_dirs/crkd_vit-base_stanford-cars_stage1/epoch_50.pth'))

classes = dict(
    type='NovelClasses',
    known=_base_.known,
    novel=_base_.novel,
    num_novel=_base_.num_novel)

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        **classes,
        dataset=dict(
            **_base_.train_photos, pipeline=_base_.views_pipeline)))
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

max_epochs = 100
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=10),
    dict(
        type='CosineAnnealingLR', eta_min_ratio=0.1, begin=10,
        end=max_epochs),
]
train_cfg = dict(max_epochs=max_epochs)
