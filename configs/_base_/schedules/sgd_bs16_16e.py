"""A short schedule from scratch: SGD, two warm-up epochs, then a cosine."""
max_epochs = 16

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='SGD', lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
    clip_grad=dict(max_norm=5.0))
auto_scale_lr = dict(base_batch_size=16)

param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.01, end=2, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.001,
        begin=2,
        end=max_epochs,
        convert_to_iter_based=True),
]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=4)
val_cfg = dict()
test_cfg = dict()
