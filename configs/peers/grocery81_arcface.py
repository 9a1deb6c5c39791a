"""ArcFace on Grocery81: cross entropy of angles, with a margin."""
_base_ = './grocery81_baseline.py'

model = dict(
    head=dict(
        _delete_=True,
        type='BoundedArcFaceClsHead',
        num_classes=81,
        in_channels=1280,
        scale=16.0,
        margins=0.2,
        loss=dict(type='CrossEntropyLoss')))
