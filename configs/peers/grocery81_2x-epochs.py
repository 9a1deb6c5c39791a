"""Label smoothing for twice the epochs: the compute of two views."""
_base_ = './grocery81_baseline.py'

max_epochs = 20

param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs),
]

train_cfg = dict(max_epochs=max_epochs)
