"""ST-ProtoPNet's schedule for cropped objects: 30 epochs, 2 x 10 of tuning."""
_base_ = '../default_runtime.py'

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-4, weight_decay=5e-4),
    paramwise_cfg=dict(
        custom_keys={
            'add_on': dict(lr_mult=30.0),
            'prototypes': dict(lr_mult=30.0, decay_mult=0.0),
            'last_layer': dict(lr_mult=1.0, decay_mult=0.0),
        }))
auto_scale_lr = dict(base_batch_size=80)

# As published, all before the first push.
param_scheduler = dict(
    type='MultiStepLR', milestones=[7, 9, 11, 13], gamma=0.2)

train_cfg = dict(by_epoch=True, max_epochs=50, val_interval=10)
val_cfg = dict()
test_cfg = dict()

find_unused_parameters = True
default_hooks = dict(
    checkpoint=dict(save_best=None),
    prototypes=dict(
        type='PrototypeHook',
        warm_epochs=5,
        push_epochs=(21, 40),
        tune_epochs=10))
