"""Self-distillation: AdamW with a cosine of rate and weight decay."""
max_epochs = 300

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.04),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=3.0))
auto_scale_lr = dict(base_batch_size=256, enable=True)

param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-3, end=10,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        begin=10,
        end=max_epochs,
        convert_to_iter_based=True),
    dict(  # 0.04 to 0.4; where there is no decay, there stays none
        type='CosineAnnealingParamScheduler',
        param_name='weight_decay',
        eta_min_ratio=10,
        end=max_epochs,
        convert_to_iter_based=True),
]

custom_hooks = [
    dict(type='SelfDistillationHook'),
    dict(type='CollapseCheckHook'),
]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs)
