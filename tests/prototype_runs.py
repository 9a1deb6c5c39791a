"""Short trainings of ST-ProtoPNet on noise images."""
import itertools
from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

CLASSES, BATCH, EPOCHS = 3, 4, 5
# Warm, joint, push, tuning, joint, push, tuning.
SCHEDULE = dict(warm_epochs=1, push_epochs=(2, 4), tune_epochs=1)
REPO = Path(__file__).resolve().parents[1]
_names = itertools.count()


class CallHook(Hook):
    """Call a function at a point of the training, after all other hooks."""
    priority = 'LOWEST'

    def __init__(self, point, function):
        setattr(self, point, function)


def config(images, work_dir, **changes):
    """A training on a folder with a folder of images for each class."""
    load = dict(type='LoadImageFromFile')
    dataset = dict(type='CustomDataset', data_root=str(images))
    loader = dict(batch_size=BATCH, num_workers=0, persistent_workers=False)
    cfg = Config.fromfile(REPO / 'configs/_base_/default_runtime.py')
    cfg.merge_from_dict(dict(
        model=dict(
            type='ImageClassifier',
            backbone=dict(
                type='ResNet', depth=18, base_channels=8, stem_channels=8),
            head=dict(
                type='STProtoPNetHead', num_classes=CLASSES, in_channels=64,
                num_prototypes=2, channels=8)),
        data_preprocessor=dict(
            num_classes=CLASSES, mean=[127.5] * 3, std=[127.5] * 3),
        train_dataloader=dict(
            dataset=dict(dataset, pipeline=[
                load, dict(type='RandomResizedCrop', scale=64),
                dict(type='PackInputs')]),
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=dict(type='SeededBatchSampler'), **loader),
        val_dataloader=dict(
            dataset=dict(dataset, pipeline=[
                load, dict(type='Resize', scale=64),
                dict(type='PackInputs')]),
            sampler=dict(type='DefaultSampler', shuffle=False), **loader),
        val_evaluator=[dict(type='Accuracy'), dict(type='BranchAccuracy')],
        train_cfg=dict(by_epoch=True, max_epochs=EPOCHS, val_interval=5),
        val_cfg=dict(),
        optim_wrapper=dict(
            optimizer=dict(type='Adam', lr=1e-3, weight_decay=1e-2),
            paramwise_cfg=dict(custom_keys=dict(
                prototypes=dict(decay_mult=0), last_layer=dict(lr_mult=2)))),
        param_scheduler=dict(type='MultiStepLR', milestones=[2], gamma=.2),
        default_hooks=dict(
            logger=dict(interval=1),
            checkpoint=dict(save_best=None, max_keep_ckpts=-1),
            prototypes=dict(type='PrototypeHook', **SCHEDULE)),
        find_unused_parameters=True,
        randomness=dict(seed=3, deterministic=True),
        work_dir=str(work_dir),
        experiment_name=f'prototypes{next(_names)}',
        log_level='WARNING'))
    cfg.test_dataloader = cfg.val_dataloader
    cfg.test_evaluator = cfg.val_evaluator
    cfg.test_cfg = dict()
    cfg.merge_from_dict(changes)
    return cfg


def runner(images, work_dir, *calls, **changes):
    """Its runner, which also calls functions: (point, function) each."""
    built = Runner.from_cfg(config(images, work_dir, **changes))
    for call in calls:
        built.register_hook(CallHook(*call))
    return built
