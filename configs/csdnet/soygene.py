"""CSDNet on SoyGene."""
_base_ = [
    '../_base_/models/csdnet_swin-base_448.py',
    '../_base_/datasets/soygene_bs12_448.py',
    '../_base_/schedules/adamw_bs12_200e.py',
]

model = dict(
    head=dict(cls_head=dict(num_classes=1110), contrast=dict(queue_len=12763)))

# The peers' base lr is twice as large here: 2e-3.
optim_wrapper = dict(optimizer=dict(lr=2e-3 * 12 / 512))
