"""CSDNet's choices, one at a time, and its peers, by cross-validation.

Training photos of Grocery81 alone: three of the eight of each class to train
on, the other five held out, drawn anew for each split; 128 px. All rows send
as many pixels through the backbone, to within 3 %, or say in their title how
many: one view for 24 epochs, two for 12, smaller second views for more.
"""
baseline = 'csdnet'
seeds = [1]
splits = dict(num=4, shots=3)

options = {
    'train_dataloader.dataset.pipeline.1.scale': 128,
    'val_dataloader.dataset.pipeline.1.scale': 146,
    'val_dataloader.dataset.pipeline.2.crop_size': 128,
    'train_dataloader.num_workers': 0,
    'val_dataloader.num_workers': 0,
    'train_cfg.max_epochs': 12,
    'train_cfg.val_interval': 12,
    'param_scheduler.1.end': 12,
    'default_hooks.checkpoint.interval': 4,
}
_one_view, _three_quarters, _half = (
    {
        'train_cfg.max_epochs': epochs,
        'train_cfg.val_interval': epochs,
        'param_scheduler.1.end': epochs,
    } for epochs in (24, 15, 19))

_view = 'default_hooks.ssdp.view'
_neck = 'model.neck'
_ddl = 'model.head.contrast'
_ssdt = 'model.head.distill'
_queue = {f'{_ddl}.queue_len': 243}
_scale = 'default_hooks.ssdp.scale'
_three_quarters[_scale] = 0.75
_half[_scale] = 0.5
_standardised = {f'{_neck}.gating': 'standardised'}
# The logits of ArcFace are 16 cosines; SSDT gets the cosines.
_scaled = {f'{_ssdt}.temperature': 3 / 16, f'{_ssdt}.loss_weight': 16.**2}

_peers = {
    'plain': '../peers/grocery81_baseline.py',
    'cross entropy': '../peers/grocery81_cross-entropy.py',
    'Mixup': '../peers/grocery81_mixup.py',
    'CutMix': '../peers/grocery81_cutmix.py',
    'RandomErasing': '../peers/grocery81_random-erasing.py',
    'ArcFace': '../peers/grocery81_arcface.py',
}
_two_view_peers = {
    'two views': '../peers/grocery81_two-views.py',
    'SupCon': '../peers/grocery81_supcon.py',
    'CLE-ViT': '../peers/grocery81_cle-vit.py',
}
_changes = {
    'CSDNet': {},
    'SSDP alone': {_ddl: None, _ssdt: None},
    'without SSDT': {_ssdt: None},
    'without DDL': {_ddl: None},
    'view: erase': {f'{_view}.mode': 'erase'},
    'view: crop': {f'{_view}.mode': 'crop'},
    'view: soft': {f'{_view}.mode': 'soft'},
    'threshold: median': {f'{_view}.threshold': ('quantile', 0.5)},
    'threshold: 0.5': {f'{_view}.threshold': 0.5},
    'kernel: cosine': {f'{_neck}.kernel': 'cosine'},
    'kernel: conv': {f'{_neck}.kernel': 'conv'},
    'gating: standardised': _standardised,
    'standardised: SSDP alone': {**_standardised, _ddl: None, _ssdt: None},
    'standardised: without SSDT': {**_standardised, _ssdt: None},
    'standardised: without DDL': {**_standardised, _ddl: None},
    'gating: residual': {f'{_neck}.gating': 'residual'},
    'gating: none': {f'{_neck}.gating': 'none'},
    'no L_cls on the view': {'model.head.aug_loss_weight': 0.},
    'alpha 0.3': {f'{_ddl}.loss_weight': 0.3},
    'alpha 3': {f'{_ddl}.loss_weight': 3.},
    'margin 0': {f'{_ddl}.margin': 0.},
    'margin 0.7': {f'{_ddl}.margin': 0.7},
    'negatives: violating': {f'{_ddl}.negatives': 'violating'},
    'iota: a quarter epoch': {f'{_ddl}.queue_len': 61},
    'beta 0.3': {f'{_ssdt}.loss_weight': 0.3},
    'beta 3': {f'{_ssdt}.loss_weight': 3.},
    'tau 1': {f'{_ssdt}.temperature': 1.},
    'direction: aug2raw': {f'{_ssdt}.direction': 'aug2raw'},
    'direction: raw2aug': {f'{_ssdt}.direction': 'raw2aug'},
    'warm-up of alpha and beta: 3 epochs': {
        'default_hooks.loss_warmup': dict(type='LossWarmupHook', epochs=3)
    },
    'second view x 0.75': _three_quarters,
    'second view x 0.5': _half,
    'second view x 0.5, 63% of the compute': {_scale: 0.5},
}
_arcface_changes = {
    '': {},
    ': SSDP alone': {_ddl: None, _ssdt: None},
    ': standardised': _standardised,
    ': scaled SSDT': _scaled,
    ': scaled SSDT, without DDL': {**_scaled, _ddl: None},
    ': scaled SSDT, second view x 0.75': {**_scaled, **_three_quarters},
    ': scaled SSDT, second view x 0.5': {**_scaled, **_half},
}
_rows = [
    *((title, config, _one_view) for title, config in _peers.items()),
    ('plain, head rate x 1', _peers['plain'], {
        **_one_view, 'optim_wrapper.paramwise_cfg.custom_keys': {
            'head.': dict(lr_mult=1.)
        }
    }),
    *((title, config, {}) for title, config in _two_view_peers.items()),
    ('two views, DDL and SSDT', '../peers/grocery81_two-views-distilled.py',
     _queue),
    *((f'CSDNet, ArcFace{title}', '../csdnet/grocery81_arcface-head.py',
       {**_queue, **change}) for title, change in _arcface_changes.items()),
    ('bfloat16, fused AdamW', '../csdnet/grocery81_fast.py', _queue),
    *((title, '../csdnet/grocery81.py', {**_queue, **change})
      for title, change in _changes.items()),
]

runs = {
    title.lower().translate(str.maketrans(' ', '-', ':,%')):
    dict(title=title, config=config, options=options)
    for title, config, options in _rows
}
