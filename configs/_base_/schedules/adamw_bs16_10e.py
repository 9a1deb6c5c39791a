"""A short schedule for a CPU: AdamW, one warm-up epoch, then a cosine."""
max_epochs = 10

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-4, weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys={
            'head.': dict(lr_mult=5.0),
            # Pretrained layers of timm's models with 'head.' in their names.
            'timm_model.head.': dict(decay_mult=0.0),
            'conv_head.': dict(),
            'norm_head.': dict(decay_mult=0.0),
        }),
    clip_grad=dict(max_norm=5.0))
auto_scale_lr = dict(base_batch_size=16)

param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.01, end=1, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.01,
        begin=1,
        end=max_epochs,
        convert_to_iter_based=True),
]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=5)
val_cfg = dict()
test_cfg = dict()
