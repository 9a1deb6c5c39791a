"""CSDNet on SoyAgeing, stage R1."""
_base_ = [
    '../_base_/models/csdnet_swin-base_448.py',
    '../_base_/datasets/soyageing_bs12_448.py',
    '../_base_/schedules/adamw_bs12_200e.py',
]

model = dict(
    head=dict(cls_head=dict(num_classes=198), contrast=dict(queue_len=990)))

default_hooks = dict(checkpoint=dict(interval=10))
