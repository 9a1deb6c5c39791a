"""CSDNet with one view on Grocery81, its queue as prototypes of classes."""
_base_ = './grocery81_one-view.py'

model = dict(
    head=dict(
        contrast=dict(
            _delete_=True,
            type='PrototypeQueueLoss',
            num_classes=81,
            feat_dim=1280,
            queue_len=648,
            spread=4.0)))
