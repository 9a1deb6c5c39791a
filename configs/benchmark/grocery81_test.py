"""CSDNet and what one would pick instead, on Grocery81's test photos.

All rows but the first send as many images through the backbone: one view for
20 epochs, two for 10.
"""
baseline = '2x-epochs'
seeds = [1, 2, 3, 4, 5]

options = {
    'train_dataloader.num_workers': 1,
    'val_dataloader.num_workers': 1,
}
_one_view = {
    'train_cfg.max_epochs': 20,
    'param_scheduler.1.end': 20,
}
_mode = 'default_hooks.ssdp.view.mode'
_kernel = 'model.neck.kernel'
_gating = 'model.neck.gating'

_rows = [
    ('plain', 'plain, half the compute', '../peers/grocery81_baseline.py',
     {}),
    ('2x-epochs', 'plain', '../peers/grocery81_2x-epochs.py', {}),
    ('csdnet', 'CSDNet', '../csdnet/grocery81.py', {}),
    ('arcface', 'ArcFace', '../peers/grocery81_arcface.py', _one_view),
    ('arcface-imprint', 'ArcFace from the photos',
     '../peers/grocery81_arcface-imprint.py', _one_view),
    ('arcface-margin-0.5', 'ArcFace from the photos, margin 0.5',
     '../peers/grocery81_arcface-imprint.py', {
         **_one_view, 'model.head.margins': 0.5
     }),
    ('arcface-scale-10', 'ArcFace from the photos, scale 10',
     '../peers/grocery81_arcface-scale-10.py', _one_view),
    ('prototypes', 'CSDNet, one view, prototypes',
     '../csdnet/grocery81_one-view_prototypes.py', {}),
    ('csdnet-arcface', 'CSDNet, ArcFace',
     '../csdnet/grocery81_arcface-head.py', {}),
    ('cle-vit', 'CLE-ViT', '../peers/grocery81_cle-vit.py', {}),
    ('two-views', 'two views', '../peers/grocery81_two-views.py', {}),
    ('ssdp', 'SSDP alone', '../csdnet/grocery81.py', {
        'model.head.contrast': None,
        'model.head.distill': None
    }),
    ('two-views-distilled', 'two views, DDL and SSDT',
     '../peers/grocery81_two-views-distilled.py', {}),
    ('supcon', 'SupCon', '../peers/grocery81_supcon.py', {}),
    ('cross-entropy', 'cross entropy', '../peers/grocery81_cross-entropy.py',
     _one_view),
    ('mixup', 'Mixup', '../peers/grocery81_mixup.py', _one_view),
    ('cutmix', 'CutMix', '../peers/grocery81_cutmix.py', _one_view),
    ('random-erasing', 'RandomErasing',
     '../peers/grocery81_random-erasing.py', _one_view),
    *((mode, f'CSDNet, view: {mode}', '../csdnet/grocery81.py', {
        _mode: mode
    }) for mode in ('erase', 'crop', 'soft')),
    *((kernel, f'CSDNet, kernel: {kernel}', '../csdnet/grocery81.py', {
        _kernel: kernel
    }) for kernel in ('cosine', 'conv')),
    ('standardised', 'CSDNet, gating: standardised',
     '../csdnet/grocery81.py', {
         _gating: 'standardised'
     }),
]

runs = {
    name: dict(title=title, config=config, options=options)
    for name, title, config, options in _rows
}
