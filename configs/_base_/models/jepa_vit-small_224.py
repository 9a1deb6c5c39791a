"""I-JEPA on ViT-S/16 with a class token, from random weights."""
model = dict(
    type='JEPA',
    backbone=dict(
        type='VisionTransformer',
        arch='deit-small',
        img_size=224,
        patch_size=16,
        out_type='raw'),
    neck=dict(type='JEPAPredictor', in_channels=384),
    target_generator=dict(type='BlockTargets'))
