"""ST-ProtoPNet and the plain classifier on a frozen backbone, at 128 px."""
_base_ = './grocery81_prototypes.py'

options = {'default_hooks.frozen_parts': dict(type='FrozenPartsHook')}

runs = {
    'plain': dict(
        title='plain, 30 epochs',
        options={'train_cfg.max_epochs': 30, 'param_scheduler.1.end': 30}),
}
