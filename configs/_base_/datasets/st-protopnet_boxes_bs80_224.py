"""Objects cropped by their boxes, 224 px, batch 80, 40 times an epoch."""
_base_ = './st-protopnet_bs80_224.py'

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
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=40,
        dataset=dict(split='train', pipeline=train_pipeline)))

val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
