"""CSDNet on drawn leaves with a small ViT, from scratch."""
_base_ = './demo.py'

max_epochs = 30

model = dict(
    backbone=dict(
        _delete_=True,
        type='VisionTransformer',
        arch=dict(
            embed_dims=192,
            num_layers=6,
            num_heads=3,
            feedforward_channels=768),
        img_size=128,
        patch_size=16,
        out_type='featmap'),
    neck=dict(in_channels=192),
    head=dict(cls_head=dict(in_channels=192), contrast=dict(feat_dim=192)))

# Half of the patches, so that `second_pass='kept_tokens'` can be tried.
default_hooks = dict(ssdp=dict(view=dict(threshold=('quantile', 0.5))))

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05))

param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs),
]

train_cfg = dict(max_epochs=max_epochs, val_interval=10)
