"""DSeq-JEPA on SoyGene: regions instead of blocks, by and by."""
_base_ = './ijepa_vit-small_soygene.py'

model = dict(
    target_generator=dict(_delete_=True, type='RegionTargets'))
