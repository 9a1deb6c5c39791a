"""A small ViT from scratch: the second pass on the kept patches alone."""
baseline = 'full'
seeds = [1, 2, 3]

options = {
    'train_dataloader.num_workers': 0,
    'val_dataloader.num_workers': 0,
}
_second_pass = 'default_hooks.ssdp.second_pass'

runs = {
    'full': dict(title='full', config='../csdnet/demo_vit.py'),
    'kept-tokens': dict(
        title='kept tokens',
        config='../csdnet/demo_vit.py',
        options={_second_pass: 'kept_tokens'}),
}
