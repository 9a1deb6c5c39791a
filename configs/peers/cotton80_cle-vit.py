"""The nearest peer, CLE-ViT, in CSDNet's frame: its second view and loss."""
_base_ = '../csdnet/cotton80.py'

model = dict(
    neck=dict(gating='none'),
    head=dict(
        aug_loss_weight=0.75,
        contrast=dict(
            _delete_=True,
            type='PairMarginLoss',
            margin=0.4,
            loss_weight=1.0),
        distill=None))

default_hooks = dict(
    ssdp=dict(
        view=dict(
            _delete_=True,
            type='EraseShuffleView',
            area=(0.15, 0.45),
            aspect=(0.3, 3.3))))
