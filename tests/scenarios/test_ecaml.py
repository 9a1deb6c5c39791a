"""ECAML from training to pictures, and a training that is interrupted."""
import csv
import json
import os
import re
import signal

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

CONFIG = """
_base_ = ['{repo}/configs/_base_/datasets/unseen_pk65x2_224.py']
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=32),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=40),
    dict(type='CenterCrop', crop_size=32),
    dict(type='PackInputs'),
]
test_photos = dict(
    type='CustomDataset', data_root='{data}/test', pipeline=test_pipeline)
seen = dict(type='ClassSplit', classes='first-half', dataset=test_photos)
unseen = dict(
    type='ClassSplit', classes='last-half', unseen=True, dataset=test_photos)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(num_classes=2, num_images=2, num_batches=3),
    dataset=dict(
        type='ClassSplit',
        classes='first-half',
        dataset=dict(
            type='CustomDataset',
            data_root='{data}/train',
            pipeline=pipeline)))
test_dataloader = dict(batch_size=4, num_workers=0, dataset=unseen)
few = dict(batch_size=4, num_workers=0)
default_hooks = dict(
    logger=dict(interval=1),
    seen=dict(interval=1, query_dataloader=dict(**few, dataset=seen)),
    unseen=dict(interval=1, query_dataloader=dict(**few, dataset=unseen)))
model = dict(
    type='ImageClassifier',
    backbone=dict(type='MobileNetV2', widen_factor=0.25),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='EmbeddingHead',
        in_channels=1280,
        embed_dims=16,
        metric=dict(type='BinomialDevianceLoss'),
        confusion=dict(type='EnergyConfusionLoss', random_num=1)))
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
train_cfg = dict(by_epoch=True, max_epochs=2)
test_cfg = dict()
randomness = dict(deterministic=True)
"""


@HOOKS.register_module()
class BreakOffHook(Hook):
    """Stop like a crash, when everything of a step is done."""
    priority = 'LOWEST'

    def __init__(self, step):
        self.step = step

    def after_train_iter(self, runner, *_, **__):
        if runner.iter >= self.step:
            raise KeyboardInterrupt


KILL = """
import os
import signal

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class KillHook(Hook):
    priority = 'LOWEST'

    def after_train_iter(self, runner, *_, **__):
        if str(runner.iter) == os.environ.get('KILL_AT'):
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def config(tmp_path, repo_root, tiny_data):
    path = tmp_path / 'ecaml.py'
    path.write_text(CONFIG.format(repo=repo_root.as_posix(),
                                  data=tiny_data.as_posix()))
    return path


def test_the_commands_that_users_know(run_python, mmpretrain_tools, repo_root,
                                      config, tiny_data, tmp_path):
    work = tmp_path / 'work'
    log = run_python(mmpretrain_tools / 'train.py', config, '--work-dir',
                     work).stdout
    assert re.search(r'Epoch\(train\) \[2\]\[3/3\].*loss_metric: .*energy: .*'
                     'loss_ec: .*loss_row_norm: .*embedding_norm: ', log)
    assert re.search('loss +1 x BinomialDevianceLoss .* 0.13 x Energy', log)
    checkpoint = work / 'epoch_2.pth'
    log = run_python(mmpretrain_tools / 'test.py', config, checkpoint,
                     '--work-dir', tmp_path / 'test').stdout
    for name in ('retrieval/leave-one-out/rank8', 'clustering/nmi'):
        assert f'{name}: ' in log

    log = run_python(repo_root / 'tools/evaluate_features.py', config,
                     checkpoint, '--stage', 'pre_logits').stdout
    assert '16 channels, 12 training and 6 test images' in log
    assert 'leave-one-out' in log and '| kNN' not in log
    assert 'No test image is of a class of the training images' in log
    log = run_python(
        repo_root / 'tools/visualization/vis_retrieval.py', config, checkpoint,
        '--stage', 'pre_logits', '--protocol', 'leave-one-out', '--out',
        tmp_path / 'found.png').stdout
    assert '6 queries (leave-one-out)' in log
    assert (tmp_path / 'found.png').stat().st_size > 10000

    program = tmp_path / 'search.py'
    page = (repo_root / 'docs/methods/ecaml.md').read_text('utf-8')
    code, = re.findall(r'```python\n(from mmengine.*?)```', page, re.S)
    photos = list(map(str, sorted(tiny_data.glob('test/*/*.png'))))
    program.write_text(
        f'CHECKPOINT, PHOTOS = {str(checkpoint)!r}, {photos}\n' + code.replace(
            'configs/ecaml/ecaml_mobilenet-v2_grocery81.py', str(config)))
    matches = re.findall(r'(\d\.\d{3}) (\S+\.png)',
                         run_python(program).stdout)
    assert len(matches) == 5 and matches[0][0] == '1.000'
    assert {name for _, name in matches} <= set(photos)

    curve = tmp_path / 'curve.png'
    log = run_python(
        repo_root / 'tools/analysis_tools/compare_runs.py', work, '--metric',
        'seen/leave-one-out/rank1', 'unseen/leave-one-out/rank1',
        '--show-path', curve).stdout
    assert 'ecaml, seen/leave-one-out/rank1' in log
    assert 'ecaml, unseen/leave-one-out/rank1' in log and curve.exists()
    scalars, = work.glob('*/vis_data/scalars.json')
    lines = map(json.loads, scalars.read_text().splitlines())
    assert [line['step'] for line in lines
            if 'unseen/leave-one-out/rank1' in line] == [0, 1, 2]

    table = tmp_path / 'table.csv'
    run_python(
        repo_root / 'tools/benchmark_ecaml.py', config, '--checkpoint',
        checkpoint, '--views', 2, '--steps', 3, '--seeds', 0, 1, '--rates',
        '1e-3', '--out', table)
    with open(table, newline='') as file:
        header, *rows = csv.reader(file)
    assert header[2:4] == ['seen R@1', 'unseen R@1'] and len(rows) == 5
    alone, confused = (row[header.index('length')] for row in rows[1:3])
    assert alone != confused
    assert ' to ' in rows[2][-1] and not rows[1][-1]

    # Classes that were trained on are no unseen ones, whatever the config
    # says of the training.
    other = 'test_dataloader.dataset.classes=even'
    log = run_python(repo_root / 'tools/test.py', config, checkpoint,
                     '--work-dir', tmp_path / 'test', '--cfg-options', other,
                     fails=True).stdout
    assert '2 of its 3 classes are trained on: class0, class2' in log


def run(config, work_dir, step=None, **changes):
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(dict(
        work_dir=str(work_dir), experiment_name=f'ecaml-{work_dir.name}{step}',
        log_level='ERROR', **changes))
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1)
    if step is not None:
        cfg.custom_hooks = [dict(type='BreakOffHook', step=step)]
    return Runner.from_cfg(cfg)


def assert_equal_ends(work, other):
    ours, theirs = (torch.load(folder / 'iter_6.pth', weights_only=False)
                    for folder in (work, other))
    for name, value in theirs['state_dict'].items():
        assert torch.equal(ours['state_dict'][name], value), (work, name)
    for key, state in theirs['optimizer']['state'].items():
        for name, value in state.items():
            assert torch.equal(
                torch.as_tensor(ours['optimizer']['state'][key][name]),
                torch.as_tensor(value)), (work, name)


def test_a_resumed_training_ends_like_an_unbroken_one(config, tmp_path):
    run(config, tmp_path / 'whole').train()
    for step in (2, 3, 5):  # in an epoch, at its end, in the next one
        work = tmp_path / f'broken{step}'
        with pytest.raises(KeyboardInterrupt):
            run(config, work, step - 1).train()
        run(config, work, resume=True).train()
        assert_equal_ends(work, tmp_path / 'whole')


def test_so_does_one_that_was_killed(config, run_python, repo_root, tmp_path):
    (tmp_path / 'kill_hook.py').write_text(KILL)
    with open(config, 'a') as file:
        file.write("""
custom_imports = dict(imports=['csd_mmpretrain', 'kill_hook'])
custom_hooks = [dict(type='KillHook')]
default_hooks['checkpoint'] = dict(
    type='SafeCheckpointHook', by_epoch=False, interval=1, save_best=None)
""")
    path = os.pathsep.join(filter(None, [
        str(tmp_path), os.environ.get('PYTHONPATH')]))

    def train(name, *options, **more):
        return run_python(
            repo_root / 'tools/train.py', config, '--work-dir',
            tmp_path / name, *options, PYTHONPATH=path, **more)

    train('whole')
    killed = train('killed', fails=True, KILL_AT='3')
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / 'killed/iter_6.pth').exists()
    log = train('killed', '--resume').stdout
    assert 'resumed epoch: 1, iter: 4' in log
    assert_equal_ends(tmp_path / 'killed', tmp_path / 'whole')


@pytest.mark.parametrize('changes, error', [
    (dict(val_cfg=dict()), 'val_evaluator: Accuracy reads class scores'),
    ({'default_hooks.unseen.query_dataloader.dataset.classes': 'odd'},
     '1 of its 3 classes are trained on: class1'),
    ({'train_dataloader.sampler.num_classes': 4},
     'num_classes=4, but the data has images of 3 classes'),
    ({'train_dataloader.sampler.num_images': 1}, 'num_images=1')])
def test_refused_before_the_first_step(config, tmp_path, changes, error):
    if 'val_cfg' in changes:
        cfg = Config.fromfile(config)
        changes.update(val_dataloader=cfg.test_dataloader,
                       val_evaluator=dict(type='Accuracy'))
    with pytest.raises(ValueError, match=error):
        run(config, tmp_path / 'refused', **changes).train()
    assert not list(tmp_path.glob('refused/*.pth'))
