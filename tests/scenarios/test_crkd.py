"""Cr-KD from stage 1 to pictures, with kills and other hidden labels."""
import csv
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.methods.crkd.discovery_study import load_stage_one
from csd_mmpretrain.methods.crkd.unlabelled_photos import unlabelled_photos

CONFIG = """
_base_ = ['{repo}/configs/_base_/datasets/novel_bs512_224.py']
augmentation = [dict(type='RandomResizedCrop', scale=32)]
train_pipeline = [
    dict(type='LoadImageFromFile'), *augmentation, dict(type='PackInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=40),
    dict(type='CenterCrop', crop_size=32),
    dict(type='PackInputs'),
]
known = 'even'
train_photos = dict(
    type='CustomDataset', data_root='{data}/train', ann_file='{list}',
    classes=[f'class{{i}}' for i in range(6)])
test_photos = dict(
    type='CustomDataset', data_root='{data}/test', pipeline=test_pipeline)
few = dict(batch_size=6, num_workers=0, persistent_workers=False)
train_dataloader = dict(
    **few,
    dataset=dict(
        type='ClassSplit', classes=known,
        dataset=dict(**train_photos, pipeline=train_pipeline)))
val_dataloader = dict(
    **few,
    dataset=dict(type='ClassSplit', classes=known, dataset=test_photos))
val_evaluator = dict(topk=(1, 2))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
model = dict(
    type='ImageClassifier',
    backbone=dict(type='MobileNetV2', widen_factor=0.25),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='NCDHead', num_known=3, in_channels=1280))
default_hooks = dict(logger=dict(interval=1))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
val_cfg = dict()
test_cfg = dict()
randomness = dict(deterministic=True)
"""

STAGE_TWO = """
_base_ = {base!r}
model = dict(
    type='NovelClassDiscovery',
    head=dict(num_novel=3, hidden_channels=16, embed_dims=8),
    init_cfg=dict(type='Pretrained', checkpoint={stage_one!r}))
classes = dict(type='NovelClasses', known=_base_.known)
views_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiView', num_views=2, transforms=[_base_.augmentation]),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        _delete_=True,
        **classes,
        dataset=dict(**_base_.train_photos, pipeline=views_pipeline)))
val_dataloader = dict(
    dataset=dict(
        _delete_=True, **classes, hide=False,
        dataset=dict(**_base_.train_photos, pipeline=_base_.test_pipeline)))
val_evaluator = dict(
    _delete_=True, type='ClusterAccuracy', mode='aware', num_known=3)
test_dataloader = dict(
    dataset=dict(
        _delete_=True, **classes, hide=False, dataset=_base_.test_photos))
test_evaluator = dict(
    _delete_=True, type='ClusterAccuracy', mode='agnostic', num_known=3)
"""


@HOOKS.register_module()
class StopHook(Hook):
    """Stop like a crash, when everything of a step is done."""
    priority = 'LOWEST'

    def __init__(self, step):
        self.step = step

    def after_train_iter(self, runner, *_, **__):
        if runner.iter >= self.step:
            raise KeyboardInterrupt


@pytest.fixture(scope='module')
def configs(tmp_path_factory, repo_root, tiny_data):
    """Both stages' configs, in pairs; those of 'other' hide other labels."""
    root = tmp_path_factory.mktemp('crkd')
    found = {}
    for name, swap in (('plain', {}), ('other', {1: 5, 3: 1, 5: 3})):
        images = root / f'{name}.txt'
        images.write_text(''.join(
            f'class{i}/{j}.png {swap.get(i, i)}\n'
            for i in range(6) for j in range(4)))
        one, two = (root / f'{name}{stage}.py' for stage in (1, 2))
        one.write_text(CONFIG.format(
            repo=repo_root.as_posix(), data=tiny_data.as_posix(),
            list=images.as_posix()))
        two.write_text(STAGE_TWO.format(
            base=str(one), stage_one=str(root / 'stage1' / 'epoch_2.pth')))
        found[name] = one, two
    return found


@pytest.fixture(scope='module')
def stage_one(configs, run_python, mmpretrain_tools):
    """The folder of a training of stage 1, by mmpretrain's own tool."""
    config = configs['plain'][0]
    work = config.parent / 'stage1'
    log = run_python(mmpretrain_tools / 'train.py', config, '--work-dir',
                     work).stdout
    assert re.search(r'Epoch\(val\) \[2\].*accuracy/top1', log)
    return work


def test_the_commands_that_users_know(run_python, mmpretrain_tools, repo_root,
                                      configs, stage_one, tmp_path):
    config = configs['plain'][1]
    work = tmp_path / 'work'
    log = run_python(mmpretrain_tools / 'train.py', config, '--work-dir',
                     work).stdout
    assert re.search(r'Epoch\(train\) \[2\]\[3/3\].*loss_cluster: .*loss_kd: '
                     '.*known_mass: .*relation_entropy: ', log)
    assert re.search(r'teacher +epoch_2.pth .sha256 \w{8}...., frozen', log)
    assert 'L_cluster of 2 heads + 0.1 x L_KD (T 4), tau 0.1' in log
    assert '4 unlabelled photos on average for 3 clusters' in log
    assert 'discovery/aware/accuracy: ' in log
    assert 'are among the training images' not in log
    checkpoint = work / 'epoch_2.pth'
    saved = torch.load(checkpoint, weights_only=True)
    assert not any('teacher.' in name for name in saved['state_dict'])
    assert saved['meta']['dataset_meta']['classes'][3:] == (
        'novel-0', 'novel-1', 'novel-2')

    # The test needs no stage 1.
    log = run_python(
        mmpretrain_tools / 'test.py', config, checkpoint, '--work-dir',
        tmp_path / 'test', '--cfg-options',
        'model.init_cfg.checkpoint=gone.pth').stdout
    for name in ('all', 'seen', 'novel', 'seen_plain', 'nmi', 'ari'):
        assert f'discovery/agnostic/{name}: ' in log

    listed = tmp_path / 'clusters.csv'
    log = run_python(
        repo_root / 'tools/visualization/vis_clusters.py', config, checkpoint,
        '--out', tmp_path / 'clusters.png', '--list', listed, '--dpi',
        60).stdout
    assert re.search(r'novel-\d: \d+ photos, \d+% class[135]; like class[024] '
                     r'\d+%, class[024] \d+%, class[024]', log)
    assert '12 photos in ' in log
    assert (tmp_path / 'clusters.png').stat().st_size > 10000
    with open(listed, newline='') as file:
        header, *rows = csv.reader(file)
    assert header == ['photo', 'cluster', 'probability'] and len(rows) == 12
    assert all('class1' in row[0] or 'class3' in row[0] or 'class5' in row[0]
               for row in rows)

    log = run_python(
        repo_root / 'tools/analysis_tools/estimate_classes.py', config,
        stage_one / 'epoch_2.pth', '--num-novel', 2, 3, '--repeats',
        2).stdout
    assert re.search(r'\| 3 \| \d', log) and '12 unlabelled photos' in log
    assert 'each with 1 known classes in the place of novel ones' in log

    table = tmp_path / 'table.csv'
    run_python(
        repo_root / 'tools/benchmark_crkd.py', config, '--stage1',
        stage_one / 'epoch_2.pth', '--views', 2, '--seeds', 0, 1,
        '--num-novel', 2, '--out', table)
    with open(table, newline='') as file:
        header, *rows = csv.reader(file)
    assert header[2:4] == ['aware', 'NMI'] and len(rows) == 10
    assert [row[1] for row in rows] == ['3'] * 5 + ['2'] * 5


def train(config, work, resume=False, hook=None):
    cfg = Config.fromfile(config)
    cfg.work_dir, cfg.resume = str(work), resume
    cfg.default_hooks.checkpoint.update(
        by_epoch=False, interval=1, max_keep_ckpts=1)
    if hook is not None:
        cfg.custom_hooks = [hook]
    runner = Runner.from_cfg(cfg)
    try:
        runner.train()
    except KeyboardInterrupt:
        assert hook is not None
    return runner


@pytest.fixture(scope='module')
def unbroken(configs, stage_one, tmp_path_factory):
    return train(configs['plain'][1],
                 tmp_path_factory.mktemp('unbroken')).model.state_dict()


def check_equal(state, other):
    assert set(state) == set(other)
    for name, value in state.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize('step', [2, 3])
def test_a_resume_ends_the_same(configs, unbroken, tmp_path, step):
    """Within an epoch, and at its end."""
    config = configs['plain'][1]
    train(config, tmp_path, hook=dict(type='StopHook', step=step - 1))
    check_equal(train(config, tmp_path, resume=True).model.state_dict(),
                unbroken)


def test_other_hidden_labels_change_no_weight(configs, unbroken, tmp_path):
    check_equal(
        train(configs['other'][1], tmp_path).model.state_dict(), unbroken)


def test_stage_one_of_other_classes_is_refused(configs, stage_one, tmp_path):
    cfg = Config.fromfile(configs['plain'][1])
    cfg.work_dir = str(tmp_path)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.known = 'odd'
    with pytest.raises(ValueError, match="Known class 0 is 'class0' in the "
                       "checkpoint of stage 1, 'class1' in the training"):
        Runner.from_cfg(cfg).train()


def test_a_study_refuses_stage_one_of_other_classes(configs, stage_one):
    cfg = Config.fromfile(configs['plain'][1])
    checkpoint = str(stage_one / 'epoch_2.pth')
    assert load_stage_one(cfg, checkpoint).head.num_known == 3
    cfg.train_dataloader.dataset.known = [1, 3, 5]
    with pytest.raises(ValueError, match='Known class 0 is .class0.'):
        load_stage_one(cfg, checkpoint)


@pytest.mark.parametrize('size, drop_last', [(1, True), (23, False)])
def test_batches_of_one_photo_are_refused(configs, stage_one, tmp_path, size,
                                          drop_last):
    cfg = Config.fromfile(configs['plain'][1])
    cfg.work_dir = str(tmp_path)
    cfg.train_dataloader.batch_size = size
    cfg.train_dataloader.batch_sampler.drop_last = drop_last
    with pytest.raises(ValueError, match='batch of one image'):
        Runner.from_cfg(cfg).train()


def test_a_folder_without_labels(configs, stage_one, tiny_data, tmp_path):
    """The known classes' photos, and others of which nobody knows classes."""
    cfg = Config.fromfile(configs['plain'][1])
    cfg.work_dir = str(tmp_path)
    photos = cfg.train_dataloader.dataset.dataset
    for i in range(3):
        target = tmp_path / 'new' / f'{i}.png'
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((tiny_data / f'test/class1/{i % 2}.png')
                           .read_bytes())
    cfg.train_dataloader.dataset = dict(
        type='NovelClasses', known=[0, 2, 4], novel=[1, 3], num_novel=3,
        dataset=[photos, dict(
            type='CustomDataset', data_root=str(tmp_path / 'new'),
            with_label=False, pipeline=[])])
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.train_dataloader.dataset.metainfo['classes'][3:] == (
        'novel-0', 'novel-1', 'novel-2')
    found = unlabelled_photos(cfg, runner.model)
    assert found.features.shape == (11, 1280) and found.labels is None
    assert sum('/new/' in path for path in found.paths) == 3
    assert found.known_classes == ('class0', 'class2', 'class4')


def test_a_missing_stage_one_is_named(configs, stage_one, tmp_path):
    cfg = Config.fromfile(configs['plain'][1])
    cfg.work_dir = str(tmp_path)
    cfg.model.init_cfg.checkpoint = str(tmp_path / 'gone.pth')
    with pytest.raises(FileNotFoundError, match='gone.pth.*with '
                       '`--cfg-options model.init_cfg.checkpoint=FILE`'):
        Runner.from_cfg(cfg).train()
