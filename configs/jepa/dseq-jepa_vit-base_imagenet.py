"""DSeq-JEPA on ImageNet, ViT-B/16: regions instead of blocks, by and by."""
_base_ = './ijepa_vit-base_imagenet.py'

model = dict(
    target_generator=dict(_delete_=True, type='RegionTargets'))
