"""DSeq-JEPA on Cotton80: regions instead of blocks, by and by."""
_base_ = './ijepa_vit-small_cotton80.py'

model = dict(
    target_generator=dict(_delete_=True, type='RegionTargets'))
