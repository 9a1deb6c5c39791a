"""CSDNet on SoyLocal."""
_base_ = [
    '../_base_/models/csdnet_swin-base_448.py',
    '../_base_/datasets/soylocal_bs12_448.py',
    '../_base_/schedules/adamw_bs12_200e.py',
]

model = dict(
    head=dict(cls_head=dict(num_classes=200), contrast=dict(queue_len=600)))

default_hooks = dict(checkpoint=dict(interval=10))
