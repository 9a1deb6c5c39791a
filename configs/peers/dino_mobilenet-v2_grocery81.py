"""DINO: CMD without regions and without the term across levels."""
_base_ = '../cmd/cmd_mobilenet-v2_grocery81.py'

model = dict(
    region_neck=None,
    head=dict(image_weight=1., region_weight=0., inter_weight=0.))
