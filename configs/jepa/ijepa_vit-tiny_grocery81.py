"""I-JEPA on Grocery81: a small ViT from random weights, for a CPU."""
_base_ = [
    '../_base_/models/jepa_vit-tiny_96.py',
    '../_base_/datasets/grocery81_one-crop_bs64_96.py',
    '../_base_/schedules/jepa_bs64_100e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(
    checkpoint=dict(save_best=None, interval=10), knn=_base_.knn)
