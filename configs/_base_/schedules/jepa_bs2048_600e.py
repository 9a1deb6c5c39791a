"""JEPA: AdamW, rate and weight decay on cosines, a linear moving average."""
max_epochs = 600

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=8e-4, weight_decay=0.04),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0))
auto_scale_lr = dict(base_batch_size=2048, enable=True)

param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.25, end=15,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.125,
        begin=15,
        end=max_epochs,
        convert_to_iter_based=True),
    dict(  # 0.04 to 0.4; where there is no decay, there stays none
        type='CosineAnnealingParamScheduler',
        param_name='weight_decay',
        eta_min_ratio=10,
        end=max_epochs,
        convert_to_iter_based=True),
]

custom_hooks = [dict(type='JEPAHook')]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs)
