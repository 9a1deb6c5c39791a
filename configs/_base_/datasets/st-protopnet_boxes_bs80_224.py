"""Objects cropped by their boxes, 224 px, batch 80, 40 times an epoch."""
data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='BoxCrop'),
    dict(type='Resize', scale=(224, 224)),
    dict(  # by an angle drawn evenly from -15 to 15 degrees
        type='Rotate',
        magnitude_range=(0, 15),
        magnitude_std='inf',
        prob=1.0,
        pad_val=0,
        interpolation='bilinear'),
    dict(  # by up to 10 degrees, of which this is the tangent
        type='Shear',
        magnitude_range=(0, 0.176),
        magnitude_std='inf',
        prob=1.0,
        pad_val=0,
        interpolation='bilinear'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='BoxCrop'),
    dict(type='Resize', scale=(224, 224)),
    dict(type='PackInputs'),
]

# As many images an epoch as the published 40 augmented copies of each.
train_dataloader = dict(
    batch_size=80,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(
        type='RepeatDataset',
        times=40,
        dataset=dict(split='train', pipeline=train_pipeline)),
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='SeededBatchSampler'))

val_dataloader = dict(
    batch_size=80,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(split='test', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(type='BranchAccuracy'),
]

test_dataloader = val_dataloader
test_evaluator = val_evaluator
