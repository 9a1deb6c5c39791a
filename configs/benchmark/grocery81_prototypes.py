"""ST-ProtoPNet and the plain classifier, of equal compute, at 128 px.

Its ten epochs with a frozen backbone cost a third of an epoch each: 30 epochs
are 23.3 of the plain classifier, which gets 24.
"""
baseline = 'plain'
seeds = [1, 2, 3]

options = {
    'train_dataloader.dataset.pipeline.1.scale': 128,
    'val_dataloader.dataset.pipeline.1.scale': 146,
    'val_dataloader.dataset.pipeline.2.crop_size': 128,
    'test_dataloader.dataset.pipeline.1.scale': 146,
    'test_dataloader.dataset.pipeline.2.crop_size': 128,
    'train_dataloader.num_workers': 0,
    'val_dataloader.num_workers': 0,
    'train_cfg.val_interval': 30,
    'default_hooks.checkpoint.interval': 10,
}

runs = {
    'plain': dict(
        title='plain, 24 epochs',
        config='../peers/grocery81_baseline.py',
        options={'train_cfg.max_epochs': 24, 'param_scheduler.1.end': 24}),
    'st-protopnet': dict(
        title='ST-ProtoPNet, 30 epochs',
        config='../st_protopnet/st-protopnet_mobilenet-v2_grocery81.py'),
}
