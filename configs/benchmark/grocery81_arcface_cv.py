"""What is above ArcFace at equal compute, by cross-validation.

As in `grocery81_cv.py`, with one view for 24 epochs. The start from the
photos is a pass without gradient, a third of an epoch, and not counted.
"""
_base_ = 'grocery81_cv.py'
baseline = 'arcface'
# The photos that a training starts from are loaded as in the test.
_test_size = {
    'test_dataloader.dataset.pipeline.1.scale': 146,
    'test_dataloader.dataset.pipeline.2.crop_size': 128,
}
_from_photos = {**_base_._one_view, **_test_size}
_alpha = 'model.head.contrast.loss_weight'
_spread = 'model.head.contrast.spread'
_one_view_ddl = {**_from_photos, 'model.head.contrast.queue_len': 243}
_two_views = {
    **_test_size,
    'default_hooks.imprint.type': 'ImprintHook',
    'model.head.contrast.queue_len': 243,
    _alpha: 3.,
}
runs = {
    '_delete_': True,
    'arcface': _base_.runs['arcface'],
    'arcface-imprint': dict(
        title='ArcFace from the photos',
        config='../peers/grocery81_arcface-imprint.py',
        options=_from_photos),
    'one-view': dict(
        title='CSDNet, one view',
        config='../csdnet/grocery81_one-view.py',
        options=_one_view_ddl),
    'prototypes': dict(
        title='CSDNet, one view, prototypes without spread',
        config='../csdnet/grocery81_one-view_prototypes.py',
        options={**_one_view_ddl, _spread: 0.}),
    'spread': dict(
        title='CSDNet, one view, prototypes',
        config='../csdnet/grocery81_one-view_prototypes.py',
        options=_one_view_ddl),
    'spread-scale-10': dict(
        title='CSDNet, one view, prototypes, scale 10',
        config='../csdnet/grocery81_one-view_prototypes.py',
        options={**_one_view_ddl, 'model.head.cls_head.scale': 10.}),
    'own-image-out': dict(
        title='CSDNet, one view, own image no positive',
        config='../csdnet/grocery81_one-view.py',
        options={**_one_view_ddl, 'model.head.contrast.own_image': False}),
    'alpha-1': dict(
        title='CSDNet, one view, alpha 1',
        config='../csdnet/grocery81_one-view.py',
        options={**_one_view_ddl, _alpha: 1.}),
    'two-views': dict(
        title='CSDNet, two views, from the photos',
        config='../csdnet/grocery81_arcface-head.py',
        options=_two_views),
    **{f'scale-{scale}': dict(
        title=f'ArcFace from the photos, scale {scale}',
        config='../peers/grocery81_arcface-imprint.py',
        options={**_from_photos, 'model.head.scale': float(scale)})
       for scale in (7, 10, 20, 30)},
    **{f'margin-{margin}': dict(
        title=f'ArcFace from the photos, margin {margin}',
        config='../peers/grocery81_arcface-imprint.py',
        options={**_from_photos, 'model.head.margins': margin})
       for margin in (0.0, 0.1, 0.3, 0.4, 0.5)},
    'batch-8': dict(
        title='ArcFace from the photos, batch 8',
        config='../peers/grocery81_arcface-imprint.py',
        options={**_from_photos, 'train_dataloader.batch_size': 8}),
}
