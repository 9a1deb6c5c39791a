"""The second pass on the kept patches alone, fine-tuning a small ViT.

The weights are those of configs/csdnet/demo_vit_start.py: `--weights` names
its checkpoint.
"""
baseline = 'full'
seeds = [1, 2, 3]

options = {
    'train_dataloader.num_workers': 0,
    'val_dataloader.num_workers': 0,
    'model.neck.gating': 'multiply',
    'optim_wrapper.optimizer.lr': 3e-4,
    'train_cfg.max_epochs': 15,
    'train_cfg.val_interval': 15,
    'param_scheduler.1.end': 15,
}
_hook = 'default_hooks.ssdp'
_residual = {'model.neck.gating': 'residual'}
_kept_tokens = {f'{_hook}.second_pass': 'kept_tokens'}

runs = {
    'plain': dict(
        title='one view, half the compute',
        config='../csdnet/demo_vit.py',
        options={
            f'{_hook}.enabled': False,
            'model.head.distill': None,
            'model.head.contrast': None,
        }),
    'full': dict(title='full second pass', config='../csdnet/demo_vit.py'),
    'kept-tokens': dict(
        title='kept tokens',
        config='../csdnet/demo_vit.py',
        options=_kept_tokens),
    'full-residual': dict(
        title='full second pass, gating: residual',
        config='../csdnet/demo_vit.py',
        options=_residual),
    'kept-tokens-residual': dict(
        title='kept tokens, gating: residual',
        config='../csdnet/demo_vit.py',
        options={**_kept_tokens, **_residual}),
}
