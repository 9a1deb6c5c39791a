_base_ = 'grocery81_arcface_cv.py'
baseline = 'arcface-imprint'
_two = _base_._two_views
_fp = _base_._from_photos
_imp = '../peers/grocery81_arcface-imprint.py'
_csd = '../csdnet/grocery81_arcface-head.py'
_b8 = {'train_dataloader.batch_size': 8}
_rows = [
    ('imprint-b8', 'imprint batch 8', _imp, {**_fp, **_b8}),
    ('two-own-out', 'two own out', _csd, {**_two, 'model.head.contrast.own_image': False}),
    ('two-b8-frozen', 'two b8 frozen', _csd, {**_two, **_b8, 'default_hooks.ssdp.norm': 'frozen'}),
    ('two-w0', 'two weight 0', _csd, {**_two, 'model.head.aug_loss_weight': 0.}),
    ('two-w0.5', 'two weight 0.5', _csd, {**_two, 'model.head.aug_loss_weight': 0.5}),
    ('imprint-m0.1', 'imprint m .1', _imp, {**_fp, 'model.head.margins': 0.1}),
    ('imprint-m0.4', 'imprint m .4', _imp, {**_fp, 'model.head.margins': 0.4}),
    ('imprint-m0.5', 'imprint m .5', _imp, {**_fp, 'model.head.margins': 0.5}),
    ('imprint-s10', 'imprint s 10', _imp, {**_fp, 'model.head.scale': 10.}),
    ('imprint-s20', 'imprint s 20', _imp, {**_fp, 'model.head.scale': 20.}),
]
runs = {**{n: dict(title=t, config=c, options=o) for n, t, c, o in _rows}}
