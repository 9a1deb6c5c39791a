"""The control of two views: a second augmentation, and cross entropy."""
_base_ = '../csdnet/grocery81.py'

model = dict(neck=dict(gating='none'), head=dict(ddl=None, ssdt=None))

default_hooks = dict(
    ssdp=dict(
        view=dict(
            _delete_=True,
            type='FreshAugmentView',
            scale=(0.5, 1.0),
            ratio=(3 / 4, 4 / 3),
            flip=0.5,
            jitter=0.2)))
