"""The same schedule in 40 epochs, for sets with many images per class."""
_base_ = './adamw_bs12_200e.py'

param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=40),
]

train_cfg = dict(max_epochs=40)
