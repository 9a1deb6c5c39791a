"""The plain classifier on Cotton80: what CSDNet is compared with."""
_base_ = [
    '../_base_/models/swin-base_448.py',
    '../_base_/datasets/cotton80_bs12_448.py',
    '../_base_/schedules/adamw_bs12_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=80))

default_hooks = dict(checkpoint=dict(interval=10))
