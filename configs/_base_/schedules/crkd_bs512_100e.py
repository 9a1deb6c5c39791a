"""Stage 2 of Cr-KD: AdamW, ten warm-up epochs, then a cosine by epoch."""
_base_ = './crkd_bs512_50e.py'

max_epochs = 100

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=10),
    dict(
        type='CosineAnnealingLR', eta_min_ratio=0.1, begin=10,
        end=max_epochs),
]

train_cfg = dict(max_epochs=max_epochs)
