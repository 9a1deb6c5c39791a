"""CLE-ViT's schedule: AdamW, 20 warm-up epochs, then linearly to 1 %."""
# The peers' rule is lr = base_lr * batch / 512 with base_lr = 1e-3, so a batch
# of 12 gets 2.34e-5. `--auto-scale-lr` keeps that rule for other batch sizes.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW',
        lr=1e-3 * 12 / 512,
        betas=(0.9, 0.999),
        weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
        # A key takes the place of the rules above.
        custom_keys={
            'head.': dict(lr_mult=5.0),
            'head.fc.bias': dict(lr_mult=5.0, decay_mult=0.0),
            # Pretrained layers of timm's models with 'head.' in their names.
            'timm_model.head.': dict(decay_mult=0.0),
            'conv_head.': dict(),
            'norm_head.': dict(decay_mult=0.0),
            'relative_position_bias_table': dict(decay_mult=0.0),
        }),
    clip_grad=dict(max_norm=5.0))
auto_scale_lr = dict(base_batch_size=12)

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.001,
        end=20,
        convert_to_iter_based=True),
    dict(
        type='LinearLR',
        start_factor=1.0,
        end_factor=0.01,
        begin=20,
        end=200,
        convert_to_iter_based=True),
]

train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=1)
val_cfg = dict()
test_cfg = dict()
