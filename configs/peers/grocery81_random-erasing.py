"""Random erasing on Grocery81: a box of every second image becomes noise."""
_base_ = './grocery81_baseline.py'

train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(
        type='RandomErasing',
        erase_prob=0.5,
        min_area_ratio=0.02,
        max_area_ratio=0.4,
        aspect_range=(0.3, 1 / 0.3),
        mode='rand'),
    _base_.train_pipeline[-1],
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
