"""I-JEPA on a ViT of three blocks and 8 x 8 patches, for a CPU."""
blocks = dict(min_keep=4)  # targets of 9 patches

model = dict(
    type='JEPA',
    backbone=dict(
        type='VisionTransformer',
        arch=dict(
            embed_dims=96,
            num_layers=3,
            num_heads=3,
            feedforward_channels=384),
        img_size=96,
        patch_size=12,
        out_type='raw'),
    neck=dict(
        type='JEPAPredictor',
        in_channels=96,
        embed_dims=48,
        depth=2,
        num_heads=3),
    target_generator=dict(type='BlockTargets', **blocks))
