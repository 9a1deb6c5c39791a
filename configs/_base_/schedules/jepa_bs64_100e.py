"""JEPA in 100 epochs of small batches, for a CPU."""
_base_ = './jepa_bs2048_600e.py'

max_epochs = 100

optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=64)

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=5, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        begin=5,
        end=max_epochs,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingParamScheduler',
        param_name='weight_decay',
        eta_min_ratio=10,
        end=max_epochs,
        convert_to_iter_based=True),
]

custom_hooks = [dict(type='JEPAHook', momentum=0.99)]

train_cfg = dict(max_epochs=max_epochs)
