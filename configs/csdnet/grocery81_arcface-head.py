"""CSDNet with ArcFace as its inner head, on Grocery81."""
_base_ = './grocery81.py'

model = dict(
    head=dict(
        cls_head=dict(
            _delete_=True,
            type='BoundedArcFaceClsHead',
            num_classes=81,
            in_channels=1280,
            scale=16.0,
            margins=0.2,
            loss=dict(type='CrossEntropyLoss'))))
