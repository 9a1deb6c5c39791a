"""CSDNet on CUB-200-2011."""
_base_ = [
    '../_base_/models/csdnet_swin-base_448.py',
    '../_base_/datasets/cub_bs12_448.py',
    '../_base_/schedules/adamw_bs12_40e.py',
]

model = dict(
    head=dict(cls_head=dict(num_classes=200), contrast=dict(queue_len=5994)))
