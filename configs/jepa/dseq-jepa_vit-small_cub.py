"""DSeq-JEPA on CUB-200-2011: regions instead of blocks, by and by."""
_base_ = './ijepa_vit-small_cub.py'

model = dict(
    target_generator=dict(_delete_=True, type='RegionTargets'))
