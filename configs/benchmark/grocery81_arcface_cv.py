"""What is above ArcFace at equal compute, by cross-validation.

As in `grocery81_cv.py`, with one view for 24 epochs. The start from the
photos is a pass without gradient, a third of an epoch, and not counted.
"""
_base_ = 'grocery81_cv.py'
baseline = 'arcface'
# The photos that a training starts from are loaded as in the test.
_from_photos = {
    **_base_._one_view,
    'test_dataloader.dataset.pipeline.1.scale': 146,
    'test_dataloader.dataset.pipeline.2.crop_size': 128,
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
        options={**_from_photos, 'model.head.contrast.queue_len': 243}),
    'prototypes': dict(
        title='CSDNet, one view, prototypes',
        config='../csdnet/grocery81_one-view_prototypes.py',
        options={**_from_photos, 'model.head.contrast.queue_len': 243}),
}
