"""Linear probe: SGD in steps over 28 epochs.

The loss is half of a cross entropy: that of DSeq-JEPA is the mean of the two
probes, which are trained apart here.
"""
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='SGD', lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4))
auto_scale_lr = dict(base_batch_size=256, enable=True)

param_scheduler = dict(type='MultiStepLR', milestones=[8, 16, 24], gamma=0.1)

train_cfg = dict(by_epoch=True, max_epochs=28, val_interval=4)
val_cfg = dict()
test_cfg = dict()
