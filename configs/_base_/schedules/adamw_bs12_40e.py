"""The same schedule in 40 epochs, for sets with many images per class."""
_base_ = './adamw_bs12_200e.py'

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.001,
        end=20,
        convert_to_iter_based=True),
    dict(
        type='LinearLR',
        start_factor=1.0,
        end_factor=0.01,
        begin=20,
        end=40,
        convert_to_iter_based=True),
]

train_cfg = dict(max_epochs=40)
