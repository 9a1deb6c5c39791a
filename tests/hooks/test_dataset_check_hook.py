"""The data is looked through before the first step, and only then."""
import time
from multiprocessing import get_context
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS, HOOKS
from PIL import Image

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.datasets.samples import Sample
from csd_mmpretrain.hooks.dataset_check_hook import (
    DatasetCheckHook,
    _check_files,
    _check_one_label,
    _needs_one_label,
)
from csd_mmpretrain.methods.csdnet.ddl_queue_loss import DDLQueueLoss


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture
def photos(tmp_path):
    """Twelve photos of 3 classes, the list of a CustomDataset."""
    (tmp_path / 'images').mkdir()
    for i in range(12):
        image = np.random.randint(0, 255, (32, 32, 3), np.uint8)
        Image.fromarray(image).save(tmp_path / 'images' / f'{i}.jpg')
    write_list(tmp_path, [i % 3 for i in range(12)])
    return tmp_path


def write_list(root, labels):
    (root / 'list.txt').write_text(
        '\n'.join(f'{i}.jpg {label}' for i, label in enumerate(labels)))


def dataset_of(root, **more):
    return dict(type='CustomDataset', data_root=str(root),
                ann_file='list.txt', data_prefix='images', pipeline=[
                    dict(type='LoadImageFromFile'), dict(type='PackInputs')],
                **more)


def make_runner(root, train=None, val=None, test=None, num_classes=3):
    def loader(dataset):
        return dict(batch_size=4, num_workers=0, dataset=dataset,
                    sampler=dict(type='DefaultSampler', shuffle=False))

    parts = {}
    if train:
        parts.update(
            train_dataloader=loader(train), train_cfg=dict(
                by_epoch=True, max_epochs=1, val_interval=1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)))
    for name, dataset in (('val', val), ('test', test)):
        if dataset:
            parts.update({
                f'{name}_dataloader': loader(dataset), f'{name}_cfg': dict(),
                f'{name}_evaluator': dict(type='Accuracy')})
    return Runner(
        model=dict(
            type='ImageClassifier',
            backbone=dict(type='MobileNetV2', widen_factor=0.25),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=num_classes,
                      in_channels=1280),
            data_preprocessor=dict(num_classes=num_classes)),
        work_dir=str(root / 'work'), default_scope='mmpretrain',
        default_hooks=dict(
            dataset_check=dict(type='DatasetCheckHook')),
        experiment_name=f'check_{time.time_ns()}', **parts)


def test_whole_data_trains_and_is_read_once(photos, monkeypatch):
    calls = []
    real = _check_files
    monkeypatch.setattr(
        'csd_mmpretrain.hooks.dataset_check_hook._check_files',
        lambda samples, folder: (calls.append([*samples]),
                                 real(samples, folder)))
    data = dataset_of(photos)
    runner = make_runner(photos, data, data, data)
    runner.train()
    runner.test()
    assert calls == [['training', 'validation'], ['test']]


def test_broken_images_stop_a_training(photos):
    break_two(photos)
    runner = make_runner(photos, dataset_of(photos))
    with pytest.raises(ValueError, match='2 of 12 image files'):
        runner.train()
    assert runner.iter == 0


def break_two(root):
    (root / 'images' / '7.jpg').unlink()
    whole = (root / 'images' / '8.jpg').read_bytes()
    (root / 'images' / '8.jpg').write_bytes(whole[:200])


@pytest.mark.parametrize('wrapper', [
    None,
    lambda data: dict(type='RepeatDataset', times=2, dataset=data),
    lambda data: dict(type='ConcatDataset', datasets=[data, data]),
    lambda data: dict(type='ClassBalancedDataset', oversample_thr=0.1,
                      dataset=data),
    lambda data: dict(type='KFoldDataset', num_splits=4, dataset=data),
])
def test_broken_images_of_any_dataset(photos, wrapper):
    break_two(photos)
    data = dataset_of(photos)
    runner = stand_in(wrapper(data) if wrapper else data)
    with pytest.raises(ValueError) as error:
        DatasetCheckHook().before_train(runner)
    for part in (f'missing: 1\n  {photos}/images/7.jpg',
                 f'truncated: 1\n  {photos}/images/8.jpg', 'training data',
                 '2 of ', 'CSD_DATA_ROOT'):
        assert part in str(error.value)


LOOP = SimpleNamespace(evaluator=SimpleNamespace(metrics=[]))


def stand_in(train, val=None, test=None, num_classes=3):
    """What the hook looks at of a runner."""
    loader = {}
    for name, config in (('train', train), ('val', val), ('test', test)):
        dataset = DATASETS.build(config) if config else None
        loader[f'{name}_dataloader'] = SimpleNamespace(dataset=dataset)
    model = torch.nn.Module()
    model.head = torch.nn.Module()
    model.head.num_classes = num_classes
    logger = SimpleNamespace(warnings=[])
    logger.warning = logger.warnings.append
    return SimpleNamespace(
        model=model, val_loop=val and LOOP, test_loop=LOOP,
        logger=logger, work_dir='nowhere', **loader)


def test_every_loader_is_looked_at(photos):
    whole, broken = photos / 'whole', photos / 'broken'
    for root in (whole, broken):
        root.mkdir()
        (root / 'images').symlink_to(photos / 'images')
    write_list(whole, [0] * 12)
    write_list(broken, [0] * 13)
    good, bad = dataset_of(whole), dataset_of(broken)
    for method, runner in (('before_train', stand_in(bad)),
                           ('before_train', stand_in(good, val=bad)),
                           ('before_val', stand_in(good, val=bad)),
                           ('before_test', stand_in(good, test=bad))):
        with pytest.raises(FileNotFoundError, match='missing: 1\n.*12.jpg'):
            getattr(DatasetCheckHook(), method)(runner)
    DatasetCheckHook().before_train(stand_in(good, good, bad))


def test_can_be_switched_off(photos):
    write_list(photos, [0] * 13)
    hook = HOOKS.build(dict(type='DatasetCheckHook', enabled=False))
    hook.before_train(stand_in(dataset_of(photos)))


def test_a_long_list_of_broken_files_is_cut(tmp_path):
    samples = [Sample(str(tmp_path / f'{i}.png'), 0) for i in range(20)]
    with pytest.raises(FileNotFoundError) as error:
        _check_files(dict(training=samples, validation=samples), str(tmp_path))
    assert str(error.value).count('.png') == 5
    assert '20 of 20' in str(error.value)
    assert 'training and validation data' in str(error.value)
    assert '... and 15 more' in str(error.value)
    listed = tmp_path / 'broken_images.txt'
    assert str(listed) in str(error.value)
    assert listed.read_text() == 'missing: 20\n' + ''.join(
        f'  {sample.path}\n' for sample in samples)


@pytest.mark.parametrize('label', [3, -1])
def test_labels_outside_the_head(photos, label):
    write_list(photos, [0, 1, 2, label])
    with pytest.raises(ValueError) as error:
        DatasetCheckHook().before_train(stand_in(dataset_of(photos)))
    for part in (f'label {label}', 'images/3.jpg', '0..2', 'num_classes'):
        assert part in str(error.value)


def stand_in_folders(root, train, val, num_classes=3):
    for split, names in (('train', train), ('val', val)):
        for name in names:
            folder = root / split / name
            folder.mkdir(parents=True)
            (folder / 'a.jpg').symlink_to(root / 'images/0.jpg')
    return stand_in(*(dict(type='CustomDataset', data_root=str(root),
                           data_prefix=split) for split in ('train', 'val')),
                    num_classes=num_classes)


@pytest.mark.parametrize('num_classes', [3, 4])
@pytest.mark.parametrize('val, message', [
    (['maple', 'oak'], 'only the training data has ash'),
    (['.cache', 'ash', 'maple', 'oak'], 'only the validation data has .cache'),
    (['ash', 'maple', 'pine'],
     'only the training data has oak; only the validation data has pine'),
])
def test_splits_that_number_other_classes(photos, val, message, num_classes):
    runner = stand_in_folders(photos, ['ash', 'maple', 'oak'], val,
                              num_classes)
    with pytest.raises(ValueError, match=message):
        DatasetCheckHook().before_train(runner)


def test_warns_of_classes_that_only_the_model_has(photos):
    names = ['ash', 'maple', 'oak']
    runner = stand_in_folders(photos, names, names, num_classes=81)
    DatasetCheckHook().before_train(runner)
    assert 'model has 81 classes, the training data 3' in (
        '\n'.join(runner.logger.warnings))


def test_warns_if_no_class_has_two_images(photos):
    write_list(photos, [0, 1, 2])
    runner = stand_in(dataset_of(photos), dataset_of(photos))
    DatasetCheckHook().before_train(runner)
    assert len(runner.logger.warnings) == 2
    assert 'no class has two images' in runner.logger.warnings[0]
    assert '3 of 3 images of the validation data' in runner.logger.warnings[1]
    write_list(photos, [0, 1, 2, 0])
    runner = stand_in(dataset_of(photos))
    DatasetCheckHook().before_train(runner)
    assert runner.logger.warnings == []


@pytest.mark.parametrize('enqueue, fits', [('raw', 12), ('both', 24)])
def test_warns_if_a_queue_is_longer_than_an_epoch(photos, enqueue, fits):
    twice = dict(type='RepeatDataset', times=2, dataset=dataset_of(photos))
    for length in (fits, fits + 1):
        for train in (dataset_of(photos), twice):
            runner = stand_in(train)
            runner.model.head.contrast = DDLQueueLoss(
                8, queue_len=length, enqueue=enqueue)
            DatasetCheckHook().before_train(runner)
            assert [f'queue of {length} features is longer than an epoch of '
                    '12 training images' in warning
                    and f'model.head.contrast.queue_len={fits}.' in warning
                    for warning in runner.logger.warnings
                    ] == [True] * (length > fits)


def test_a_queue_that_knows_its_images_may_hold_two_epochs(photos):
    for length in (24, 25):
        runner = stand_in(dataset_of(photos))
        runner.model.head.contrast = DDLQueueLoss(
            8, queue_len=length, own_image=False)
        DatasetCheckHook().before_train(runner)
        assert ['of 25 features is longer than two epochs of 12' in warning
                and 'queue_len=12.' in warning
                for warning in runner.logger.warnings
                ] == [True] * (length > 24)


def test_files_of_another_backend_are_left_alone(photos):
    write_list(photos, [0] * 13)
    data = dataset_of(photos)
    data['pipeline'][0]['backend_args'] = dict(backend='petrel')
    DatasetCheckHook().before_train(stand_in(data))


def check_as_rank(rank, root, results):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{root}/meeting', rank=rank, world_size=2)
    runner = stand_in(dataset_of(root))
    if rank:
        runner.train_dataloader.dataset.get_data_info = lambda index: 1 / 0
    try:
        DatasetCheckHook().before_train(runner)
    except FileNotFoundError as error:
        results.put(str(error))


def test_all_ranks_stop_and_one_looks(photos):
    write_list(photos, [0] * 13)
    context = get_context('fork')
    results = context.Queue()
    ranks = [context.Process(target=check_as_rank,
                             args=(rank, photos, results))
             for rank in range(2)]
    for process in ranks:
        process.start()
    messages = [results.get(timeout=60) for _ in ranks]
    for process in ranks:
        process.join()
    assert messages[0] == messages[1]
    assert 'images/12.jpg' in messages[0]


@pytest.mark.parametrize('label', [None, [0, 1], [], '2', 1.5])
def test_a_classifier_needs_one_label_of_each_image(label):
    samples = [Sample('a.jpg', 1), Sample('b.jpg', [1]),
               Sample('c.jpg', label)]
    _check_one_label('X (training data)', samples[:2])
    with pytest.raises(ValueError, match="X .*'c.jpg' has the label"):
        _check_one_label('X (training data)', samples)


def test_unlabelled_data_stops_before_the_first_step(photos):
    (photos / 'list.txt').write_text('\n'.join(f'{i}.jpg' for i in range(12)))
    runner = make_runner(photos, train=dataset_of(photos, with_label=False))
    with pytest.raises(ValueError, match='has the label None'):
        runner.train()
    runner = make_runner(photos, test=dataset_of(photos, with_label=False))
    with pytest.raises(ValueError, match='has the label None'):
        runner.test()


def test_who_needs_one_label(photos):
    runner = make_runner(photos, train=dataset_of(photos),
                         test=dataset_of(photos))
    assert _needs_one_label(runner, 'training')
    assert _needs_one_label(runner, 'test')
    runner.model.head = torch.nn.Identity()
    assert not _needs_one_label(runner, 'training')
    runner.test_loop.evaluator.metrics.clear()
    assert not _needs_one_label(runner, 'test')
