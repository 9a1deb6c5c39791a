"""Adam at a constant rate for 100 epochs of 100 steps, as ECAML released."""
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-5, weight_decay=2e-4),
    paramwise_cfg=dict(
        custom_keys={
            'head.fc': dict(lr_mult=10.0),
            'head.fc.bias': dict(lr_mult=20.0),
        }))
auto_scale_lr = dict(base_batch_size=130)

train_cfg = dict(by_epoch=True, max_epochs=100)
test_cfg = dict()
