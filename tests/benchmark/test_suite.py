"""Tests of the suites: which trainings they ask for, on which images."""
import re
from collections import Counter
from pathlib import Path

import pytest
from mmpretrain.registry import MODELS

from csd_mmpretrain.benchmark.suite import (
    cell_config,
    load_method,
    load_suite,
    split_images,
    suite_cells,
)
from csd_mmpretrain.runtime.run_options import load_config

SUITES = sorted(
    Path(__file__).parents[2].joinpath('configs/benchmark').glob('*.py'))
# These show one view at half the compute too, and say so.
HALF = ('grocery81_test', 'leaves_kept-tokens')
# Steps of their rows differ in cost by more than the images tell.
OWN_SCHEDULES = ('grocery81_jepa', 'grocery81_unseen')
SUITE = """
baseline = 'one'
seeds = [3, 4]
{splits}
options = {{'train_cfg.max_epochs': 5}}
_own = 'model.head.distill.temperature'
runs = dict(
    one=dict(config='{config}'),
    two=dict(config='{config}', title='The other', options={{_own: 2.0}}))
"""


CONFIG = """
dataset = dict(type='CustomDataset', data_root='{data}', pipeline=[])
train_dataloader = dict(batch_size=4, dataset=dataset)
val_dataloader = dict(
    batch_size=4,
    dataset=dict(
        type='CustomDataset',
        data_root='elsewhere',
        pipeline=[dict(type='PackInputs')]))
model = dict(head=dict(distill=dict(type='SSDTLoss')))
default_hooks = dict(ssdp=dict(type='SSDPHook'))
train_cfg = dict(by_epoch=True, max_epochs=2)
"""


@pytest.fixture
def write_suite(tmp_path):
    for label in range(6):
        folder = tmp_path / 'data' / f'class{label}'
        folder.mkdir(parents=True)
        for index in range(4):
            (folder / f'{index}.png').touch()
    config = tmp_path / 'config.py'
    config.write_text(CONFIG.format(data=(tmp_path / 'data').as_posix()))

    def write(splits='', text=SUITE, config=config):
        path = tmp_path / 'suite.py'
        path.write_text(text.format(splits=splits, config=config))
        return str(path)

    return write


def test_cells_take_turns_so_that_a_part_is_a_fair_comparison(write_suite):
    suite = load_suite(write_suite())
    assert [m.title for m in suite.methods] == ['one', 'The other']
    assert [c.path for c in suite_cells(suite)
            ] == ['one/seed3', 'two/seed3', 'one/seed4', 'two/seed4']
    suite = load_suite(write_suite('splits = dict(num=2)'))
    assert [c.path for c in suite_cells(suite)][:3] == [
        'one/seed3_split0', 'two/seed3_split0', 'one/seed3_split1'
    ]


def test_config_of_a_cell(write_suite):
    suite = load_suite(write_suite())
    cell = suite_cells(suite)[1]
    cfg, images = cell_config(*load_method(suite.methods[1]), cell, None)
    assert cfg.randomness.seed == 3
    assert cfg.model.head.distill.temperature == 2
    assert cfg.train_cfg.max_epochs == 5
    assert images == 2 * 24 * 5  # two views of 24 images in five epochs
    cfg.default_hooks.ssdp.scale = 0.5
    assert cell_config(cfg, 24 * [0], None, cell, None)[1] == 1.25 * 24 * 5


@pytest.mark.parametrize('kind', ['MultiView', 'mmpretrain.MultiView'])
@pytest.mark.parametrize('num_views, views', [(3, 3), ([2, 4], 6)])
def test_crops_are_counted(write_suite, tmp_path, num_views, views, kind):
    text = CONFIG.replace('pipeline=[])', f'pipeline=[dict(type="{kind}", '
                          f'num_views={num_views}, transforms=[])])')
    config = tmp_path / 'crops.py'
    config.write_text(
        text.format(data=(tmp_path / 'data').as_posix()) +
        'default_hooks = dict()\n')
    cell = suite_cells(load_suite(write_suite()))[0]
    cfg = load_config(str(config))
    _, images = cell_config(cfg, 24 * [0], None, cell, None)
    assert images == views * 24 * 2
    cfg.val_dataloader = None
    with pytest.raises(ValueError, match='one: .* no val_dataloader'):
        cell_config(cfg, 24 * [0], None, cell, dict(num=2))


def test_epochs_are_what_is_compared(write_suite):
    suite = load_suite(write_suite())
    cfg, labels, classes = load_method(suite.methods[0])
    cfg.train_cfg = dict(by_epoch=False, max_iters=100)
    with pytest.raises(ValueError, match='one: .* no train_cfg.max_epochs'):
        cell_config(cfg, labels, classes, suite_cells(suite)[0], None)


def test_parts_may_be_augmented_differently_but_not_seen_more_often(
        write_suite):
    suite = load_suite(write_suite())
    cfg, labels, classes = load_method(suite.methods[0])
    part = cfg.train_dataloader.dataset
    flip, crops = dict(type='RandomFlip', prob=0.5), dict(
        type='MultiView', num_views=2, transforms=[])

    def images(step):
        cfg.train_dataloader.dataset = dict(
            type='ConcatDataset', datasets=[part, dict(part, pipeline=[step])])
        return cell_config(cfg, labels, classes, suite_cells(suite)[0],
                           None)[1]

    assert images(flip) == 2 * 24 * 5
    with pytest.raises(ValueError, match='different numbers of views'):
        images(crops)


def test_split_trains_and_scores_on_parts_of_the_training_images(write_suite):
    suite = load_suite(write_suite('splits = dict(num=2, shots=1)'))
    cfg, images = cell_config(*load_method(suite.methods[0]),
                              suite_cells(suite)[0], suite.splits)
    train, held = cfg.train_dataloader.dataset, cfg.val_dataloader.dataset
    assert images == 2 * 6 * 5
    assert train.data_root == held.data_root
    assert sorted(train.indices + held.indices) == list(range(24))
    assert held.pipeline == [dict(type='PackInputs')]


@pytest.mark.parametrize('num, counts', [(2, [5, 3, 7, 2]), (3, [3, 4, 3]),
                                         (5, [5, 9, 11])])
def test_folds_partition_each_class(num, counts):
    labels = [y for y, count in enumerate(counts) for _ in range(count)][::-1]
    held = []
    for split in range(num):
        train, out = split_images(labels, split, num)
        assert sorted(train + out) == list(range(len(labels)))
        for y, count in enumerate(counts):
            part = sum(labels[i] == y for i in out)
            assert count // num <= part <= -(-count // num)
        assert len(labels) // num <= len(out) <= -(-len(labels) // num)
        held += out
    assert sorted(held) == list(range(len(labels)))


def test_shots_are_drawn_anew_and_alike_each_time():
    labels = [0] * 5 + [1] * 8 + [2] * 4
    splits = [split_images(labels, s, 4, shots=3) for s in range(4)]
    for train, out in splits:
        assert Counter(labels[i] for i in train) == {0: 3, 1: 3, 2: 3}
        assert sorted(train + out) == list(range(17))
    assert splits == [split_images(labels, s, 4, shots=3) for s in range(4)]
    assert len({tuple(train) for train, _ in splits}) == 4
    assert splits[0] != split_images(labels, 0, 4, shots=3, seed=1)


@pytest.mark.parametrize('options, message', [
    (dict(num=2, shots=2), r'shots=2 need 3 images .* 1 of 2 .*: oak \(2\)'),
    (dict(num=3), r'num=3 folds need 3 .*: oak \(2\).*--keep-small-classes'),
    (dict(num=2, shots=0), 'at least 1 shot'), (dict(num=1), 'at least 2'),
    (dict(num=4, keep_small=True), r'ash \(3\), oak \(2\)')])
def test_too_few_images_for_a_split(options, message):
    with pytest.raises(ValueError, match=message):
        split_images([0, 0, 0, 1, 1], 0, classes=['ash', 'oak'], **options)


def test_small_classes_can_be_kept():
    """One image is trained on always; the others are dealt as without it."""
    labels = [0] * 6 + [1] + [2] * 2 + [3] * 6
    held = []
    for split in range(3):
        train, out = split_images(labels, split, 3, keep_small=True)
        assert sorted(train + out) == list(range(15)) and 6 in train
        assert {labels[i] for i in train} == {0, 1, 2, 3}
        held += out
    assert sorted(held + [6]) == list(range(15))
    labels = [0] * 6 + [1] + [3] * 6
    kept, out = split_images(labels, 0, 3, keep_small=True)
    assert out == [i + (i > 5) for i in
                   split_images([0] * 6 + [3] * 6, 0, 3)[1]]
    train, out = split_images(labels, 0, 3, shots=4, keep_small=True)
    assert Counter(labels[i] for i in out) == {0: 2, 3: 2}


@pytest.mark.parametrize('change, error', [
    (('seeds = [3, 4]', ''), '`seeds` is missing'),
    (("baseline = 'one'", "baseline = 'none'"), "'none' is none of the runs"),
    (('options =', 'option ='), 'unknown `option`'),
    (('seeds =', 'splits = dict(folds=3)\nseeds ='), 'must have `num`'),
])
def test_errors_name_the_key(write_suite, change, error):
    with pytest.raises(ValueError, match=error):
        load_suite(write_suite(text=SUITE.replace(*change)))


def test_missing_config(write_suite):
    with pytest.raises(FileNotFoundError, match='runs.one.config=.*gone.py'):
        load_suite(write_suite(config='gone.py'))


def images_seen(cfg):
    ssdp = cfg.default_hooks.get('ssdp', dict(enabled=False))
    second = ssdp.get('scale', 1)**2 if ssdp.get('enabled', True) else 0
    epochs = cfg.train_cfg.max_epochs
    stages = cfg.default_hooks.get('prototypes')
    if stages:  # a third of an epoch without the backbone's backward pass
        epochs -= 2 / 3 * (stages.warm_epochs + stages.tune_epochs
                           * len(stages.push_epochs))
    return epochs * (1 + second)


@pytest.mark.parametrize('path', [
    path for path in SUITES if path.stem in OWN_SCHEDULES],
                         ids=lambda path: path.stem)
def test_schedules_of_shortened_configs_end_with_the_training(path):
    for method in load_suite(str(path)).methods:
        cfg = load_config(method.config, method.options)
        MODELS.build(cfg.model)
        for scheduler in cfg.get('param_scheduler', [])[1:]:
            assert scheduler.end == cfg.train_cfg.max_epochs


@pytest.mark.parametrize('path', [
    path for path in SUITES if path.stem not in OWN_SCHEDULES],
                         ids=lambda path: path.stem)
def test_shipped_suites_compare_at_equal_compute(path):
    suite = load_suite(str(path))
    seen, schedules = {}, set()
    for method in suite.methods:
        cfg = load_config(method.config, method.options)
        MODELS.build(cfg.model.head)
        seen[method.name] = images_seen(cfg)
        if 'prototypes' in cfg.default_hooks:
            continue  # a schedule of its own
        assert cfg.param_scheduler[1].end == cfg.train_cfg.max_epochs
        optimizer = dict(cfg.optim_wrapper.optimizer)
        optimizer.pop('fused', None)
        schedules.add(repr(optimizer))
    half = [method.name for method in suite.methods
            if method.title.endswith('half the compute')]
    assert half == (['plain'] if path.stem in HALF else [])
    seen.update((name, 2 * seen[name]) for name in half)
    for method in suite.methods:
        share = re.search(r'(\d+)% of the compute', method.title)
        if share:
            seen[method.name] *= 100 / int(share[1])
    assert max(seen.values()) <= 1.03 * seen[suite.baseline], seen
    assert min(seen.values()) >= 0.97 * seen[suite.baseline], seen
    assert len(schedules) == 1
