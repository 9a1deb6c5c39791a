"""DSeq-JEPA on Grocery81: a small ViT from random weights, for a CPU.

On so small a grid few regions are large; a smaller `min_area` keeps more.
"""
_base_ = './ijepa_vit-tiny_grocery81.py'

model = dict(
    target_generator=dict(
        _delete_=True,
        type='RegionTargets',
        num_regions=4,
        min_area=0.05,
        block=1,
        blocks=_base_.blocks))
