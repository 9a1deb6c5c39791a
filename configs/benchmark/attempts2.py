_base_ = 'grocery81_arcface_cv.py'
baseline = 'arcface-imprint'
_two = _base_._two_views
_fp = _base_._from_photos
_one = _base_._one_view_ddl
_i = '../peers/sc_imprint.py'
_o = '../csdnet/sc_one.py'
_p = '../csdnet/sc_proto.py'
_t = '../csdnet/sc_two.py'
_no = {'model.head.contrast': None}
_H = 'model.head.type'
_R = {_H: 'RememberedHead'}
_S = {_H: 'SpreadHead'}
_fp1 = {k: v for k, v in _one.items() if 'contrast' not in k}
_epochs15 = {'train_cfg.max_epochs': 15, 'train_cfg.val_interval': 15, 'param_scheduler.1.end': 15}
_rows = [
    ('rem', _o, {**_fp1, **_no, **_R}),
    ('rem-t2-ema', _o, {**_fp1, **_no, **_R, 'model.head.tau': 2., 'model.head.keep': .5}),
    ('rem-proto', _p, {**_one, **_R}),
    ('rem-first', _p, {**_one, **_R, 'model.head.tau': 2., 'model.head.keep': 1., 'model.head.ramp': False, 'model.head.weight': .3}),
    ('proto-a3', _p, {**_one, 'model.head.contrast.loss_weight': 3.}),
    ('spread-ddl', _o, {**_one, **_S}),
    ('spread-proto', _p, {**_one, **_S}),
    ('spread-proto-4', _p, {**_one, **_S, 'model.head.lam': 4.}),
    ('spread-proto-16', _p, {**_one, **_S, 'model.head.lam': 16.}),
    ('spread-only-4', _p, {**_one, **_S, 'model.head.lam': 4., 'model.head.contrast.loss_weight': 0.}),
    ('spread-proto-64', _p, {**_one, **_S, 'model.head.lam': 64.}),
    ('spread-only-16', _p, {**_one, **_S, 'model.head.lam': 16., 'model.head.contrast.loss_weight': 0.}),
    ('spread-proto-8c', _p, {**_one, **_S, 'model.head.lam': 8., 'model.head.ramp': False}),
    ('uspread-16', _p, {**_one, **_S, 'model.head.lam': 16., 'model.head.uniform': True, 'model.head.contrast.loss_weight': 0.}),
    ('pspread-16', _p, {**_one, 'model.head.contrast.type': 'SpreadPrototypeLoss', 'model.head.contrast.lam': 16.}),
    ('pspread-4-m0.5', _p, {**_one, 'model.head.contrast.type': 'SpreadPrototypeLoss', 'model.head.cls_head.margins': .5}),
    ('pspread-4', _p, {**_one, 'model.head.contrast.type': 'SpreadPrototypeLoss'}),
    ('two-margin0', _t, {**_two, _H: 'ViewMarginHead'}),
    ('rival', _t, {**_two, **_epochs15, 'default_hooks.ssdp.type': 'RivalHook', 'default_hooks.ssdp.view.mode': 'crop', 'default_hooks.ssdp.scale': .75}),
    ('bn-imprint', _i, {**_fp, 'model.neck': dict(_delete_=True, type='NormPool', in_channels=1280), 'default_hooks.normstart': dict(type='NormStartHook')}),
    ('bn-proto', _p, {**_one, 'model.neck.type': 'NormNeck', 'default_hooks.normstart': dict(type='NormStartHook')}),
]
runs = {**{n: dict(title=n, config=c, options=o) for n, c, o in _rows}}
