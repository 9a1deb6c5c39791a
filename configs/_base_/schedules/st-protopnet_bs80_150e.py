"""ST-ProtoPNet's schedule for whole images: 120 epochs, and 3 x 10 of tuning.

Published epochs after a push move on by the tuning before them.
"""
_base_ = '../default_runtime.py'

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-4, weight_decay=1e-4),
    paramwise_cfg=dict(
        custom_keys={
            'add_on': dict(lr_mult=30.0),
            'prototypes': dict(lr_mult=30.0, decay_mult=0.0),
            'last_layer': dict(lr_mult=1.0, decay_mult=0.0),
        }))
auto_scale_lr = dict(base_batch_size=80)

# The published decay every 20 epochs, at 29, 49, 69, 89 and 109.
param_scheduler = dict(
    type='MultiStepLR', milestones=[29, 49, 69, 89, 119], gamma=0.2)

train_cfg = dict(by_epoch=True, max_epochs=150, val_interval=10)
val_cfg = dict()
test_cfg = dict()

find_unused_parameters = True
default_hooks = dict(
    checkpoint=dict(save_best=None),
    prototypes=dict(
        type='PrototypeHook',
        warm_epochs=10,
        push_epochs=(101, 121, 140),
        tune_epochs=10))
