"""CSDNet on SoyGlobal."""
_base_ = [
    '../_base_/models/csdnet_swin-base_448.py',
    '../_base_/datasets/soyglobal_bs12_448.py',
    '../_base_/schedules/adamw_bs12_200e.py',
]

model = dict(
    head=dict(cls_head=dict(num_classes=1938), contrast=dict(queue_len=5814)))
