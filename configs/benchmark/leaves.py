"""The short form: drawn leaves, from scratch, minutes on two cores.

As many images through the backbone in every row: 16 epochs of one view, 8 of
two.
"""
baseline = 'plain'
seeds = [1, 2]

options = {
    'train_cfg.max_epochs': 8,
    'train_cfg.val_interval': 8,
    'param_scheduler.1.end': 8,
}
_two_views = {
    'default_hooks.ssdp.view': dict(_delete_=True, type='FreshAugmentView'),
    'model.neck.gating': 'none',
    'model.head.contrast': None,
    'model.head.distill': None,
}
_one_view = {
    **_two_views,
    'default_hooks.ssdp.enabled': False,
    'train_cfg.max_epochs': 16,
    'train_cfg.val_interval': 16,
    'param_scheduler.1.end': 16,
}
_config = '../csdnet/demo.py'

runs = {
    'plain': dict(title='plain', config=_config, options=_one_view),
    'two-views': dict(title='two views', config=_config, options=_two_views),
    'csdnet': dict(title='CSDNet', config=_config),
}
