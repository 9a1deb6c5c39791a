_base_ = 'grocery81_arcface_cv.py'
baseline = 'arcface-imprint'
_fp = _base_._from_photos
_one = _base_._one_view_ddl
_i = '../peers/sc_imprint.py'
_o = '../csdnet/sc_one.py'
_p = '../csdnet/sc_proto.py'
_sc = {**{k: v for k, v in _one.items() if 'contrast' not in k},
       'model.head.contrast': dict(_delete_=True, type='SupConQueueLoss', feat_dim=1280, queue_len=243)}
_pa = {**_fp, 'model.head.scale': 1., 'model.head.margins': 0.,
       'model.head.loss': dict(_delete_=True, type='ProxyAnchorOfCosines')}
_bn = {'model.neck': dict(_delete_=True, type='NormPool', in_channels=1280), 'default_hooks.normstart': dict(type='NormStartHook')}
_s10 = {'model.head.cls_head.scale': 10.}
_rows = [
    ('imprint', _i, _fp),
    ('supcon-queue', _o, _sc),
    ('proxy-anchor', _i, _pa),
    ('bn-imprint', _i, {**_fp, **_bn}),
    ('bn-proto', _p, {**_one, 'model.neck.type': 'NormNeck', 'default_hooks.normstart': dict(type='NormStartHook')}),
    ('imprint-s10-m0.5', _i, {**_fp, 'model.head.scale': 10., 'model.head.margins': .5}),
    ('two-views-s10', '../csdnet/grocery81_arcface-head.py', {**_base_._two_views, **_s10}),
    ('spread-s10-10', _p, {**_one, **_s10, 'model.head.contrast.scale': 10., 'model.head.contrast.spread': 10.}),
]
runs = {**{n: dict(title=n, config=c, options=o) for n, c, o in _rows}}
