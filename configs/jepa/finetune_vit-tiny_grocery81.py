"""Fine-tuning of the small ViT with a quarter of Grocery81's labels.

The weights of the backbone: tools/train.py CONFIG --weights FILE. Another
number of labels: --cfg-options train_dataloader.dataset.fraction=0.5.
"""
_base_ = [
    '../_base_/models/jepa_vit-tiny_96.py',
    '../_base_/datasets/grocery81_bs32_96.py',
    '../_base_/schedules/adamw_bs16_10e.py',
    '../_base_/default_runtime.py',
]

max_epochs = 40

model = dict(
    _delete_=True,
    type='ImageClassifier',
    backbone=dict(_base_.model.backbone, out_type='featmap'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=81,
        in_channels=96,
        loss=dict(
            type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')))

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='LabelFraction',
        fraction=0.25,
        dataset=_base_.train_dataloader.dataset))

param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs),
]
auto_scale_lr = dict(base_batch_size=32)
train_cfg = dict(max_epochs=max_epochs)
