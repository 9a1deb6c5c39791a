"""The plain small ViT on leaves of other cultivars: weights for demo_vit."""
_base_ = './demo_vit.py'

max_epochs = 25
num_classes = 80

model = dict(
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
    head=dict(
        _delete_=True,
        type='LinearClsHead',
        num_classes=num_classes,
        in_channels=192,
        loss=dict(
            type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')))

default_hooks = dict(ssdp=dict(enabled=False))

dataset = dict(
    data_root='{{$CSD_DATA_ROOT:data}}/other_leaves',
    num_classes=num_classes,
    train_per_class=80,
    test_per_class=5,
    seed=1)
data_preprocessor = dict(num_classes=num_classes)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=128, crop_ratio_range=(0.7, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomGrayscale', prob=0.5, keep_channels=True),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=64, dataset=dict(**dataset, pipeline=train_pipeline))
val_dataloader = dict(batch_size=64, dataset=dataset)
test_dataloader = val_dataloader

auto_scale_lr = dict(base_batch_size=64)

param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs),
]

train_cfg = dict(max_epochs=max_epochs, val_interval=5)
