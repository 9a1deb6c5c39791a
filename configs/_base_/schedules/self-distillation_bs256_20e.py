"""Self-distillation in 20 epochs from a trained backbone, for a CPU.

The rate suits small batches, and the teacher follows in some fifty steps.
"""
_base_ = './self-distillation_bs256_300e.py'

max_epochs = 20

optim_wrapper = dict(optimizer=dict(lr=1.6e-3))

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=2, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        begin=2,
        end=max_epochs,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingParamScheduler',
        param_name='weight_decay',
        eta_min_ratio=10,
        end=max_epochs,
        convert_to_iter_based=True),
]

custom_hooks = [
    dict(type='SelfDistillationHook', momentum=0.98, temp_warmup_epochs=5),
    dict(type='CollapseCheckHook', interval=5),
]

train_cfg = dict(max_epochs=max_epochs)
