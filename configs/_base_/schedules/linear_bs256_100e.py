"""Linear probe: SGD without weight decay, and a cosine."""
max_epochs = 100

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.001, momentum=0.9, weight_decay=0.0))
auto_scale_lr = dict(base_batch_size=256, enable=True)

param_scheduler = dict(
    type='CosineAnnealingLR', end=max_epochs, convert_to_iter_based=True)

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=10)
val_cfg = dict()
test_cfg = dict()
