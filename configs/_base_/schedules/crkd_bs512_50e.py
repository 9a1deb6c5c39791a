"""Stage 1 of Cr-KD: AdamW, five warm-up epochs, then a cosine by epoch."""
max_epochs = 50

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1.5e-4))
auto_scale_lr = dict(base_batch_size=512)

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=5),
    dict(
        type='CosineAnnealingLR', eta_min_ratio=0.1, begin=5, end=max_epochs),
]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=10)
val_cfg = dict()
test_cfg = dict()
