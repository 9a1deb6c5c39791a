"""DINO on Grocery81: a small ViT from random weights, for a CPU."""
_base_ = '../cmd/cmd_vit-tiny_grocery81.py'

model = dict(
    region_neck=None,
    head=dict(image_weight=1., region_weight=0., inter_weight=0.))
