"""CSDNet on Stanford Cars."""
_base_ = [
    '../_base_/models/csdnet_swin-base_448.py',
    '../_base_/datasets/stanford_cars_bs12_448.py',
    '../_base_/schedules/adamw_bs12_40e.py',
]

model = dict(
    head=dict(cls_head=dict(num_classes=196), contrast=dict(queue_len=8144)))
