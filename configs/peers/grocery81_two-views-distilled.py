"""CSDNet whose second view is a second augmentation instead of a mask."""
_base_ = '../csdnet/grocery81.py'

default_hooks = dict(
    ssdp=dict(
        view=dict(
            _delete_=True,
            type='FreshAugmentView',
            scale=(0.5, 1.0),
            ratio=(3 / 4, 4 / 3),
            flip=0.5,
            jitter=0.2)))
