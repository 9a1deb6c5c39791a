"""CutMix on Grocery81: a box of each image from another of the batch."""
_base_ = './grocery81_baseline.py'

model = dict(train_cfg=dict(augments=dict(type='CutMix', alpha=1.0)))
