"""DSeq-JEPA on images in a list: regions instead of blocks, by and by."""
_base_ = './ijepa_vit-small_inaturalist.py'

model = dict(
    target_generator=dict(_delete_=True, type='RegionTargets'))
