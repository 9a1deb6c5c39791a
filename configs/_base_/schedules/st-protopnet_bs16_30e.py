"""ST-ProtoPNet's stages shortened for a CPU: 5 warm, 20 joint, 5 tuning."""
_base_ = '../default_runtime.py'

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=3e-4, weight_decay=1e-4),
    paramwise_cfg=dict(
        custom_keys={
            'add_on': dict(lr_mult=10.0),
            'prototypes': dict(lr_mult=10.0, decay_mult=0.0),
            'last_layer': dict(lr_mult=1.0, decay_mult=0.0),
        }))
auto_scale_lr = dict(base_batch_size=16)

param_scheduler = dict(type='MultiStepLR', milestones=[15, 20], gamma=0.2)

train_cfg = dict(by_epoch=True, max_epochs=30, val_interval=5)
val_cfg = dict()
test_cfg = dict()

find_unused_parameters = True
default_hooks = dict(
    checkpoint=dict(save_best=None),
    prototypes=dict(
        type='PrototypeHook', warm_epochs=5, push_epochs=(25, ),
        tune_epochs=5))
