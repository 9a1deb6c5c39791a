"""tools/train.py: its options, its checks, and what a training leaves."""
import argparse
import importlib.util
import re

import pytest
import torch
from mmengine.config import Config, DictAction

from csd_mmpretrain.datasets import SyntheticLeaves
from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.runtime import run_options
from csd_mmpretrain.runtime.bfloat16_optim_wrapper import BFloat16OptimWrapper


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No setting of the machine reaches the checks."""
    for name in ('CSD_DATA_ROOT', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('LOCAL_RANK', '0')


def config_of(*args):
    args = run_options.make_train_parser().parse_args([str(a) for a in args])
    return run_options.make_train_config(args)


def options_of(parser):
    """All that can be said about the options of a parser."""
    return {
        tuple(action.option_strings) or action.dest:
        (action.dest, action.nargs, action.const, action.default, action.type
         or str, tuple(action.choices or ()),
         DictAction if isinstance(action, DictAction) else type(action))
        for action in parser._actions
    }


@pytest.fixture
def stock_options(mmpretrain_tools, monkeypatch):
    """The options of one of mmpretrain's own tools."""

    def read(name):
        spec = importlib.util.spec_from_file_location(
            'stock', mmpretrain_tools / f'{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        seen = []

        def parse_args(parser):
            seen.append(parser)
            return argparse.Namespace(local_rank=0)

        monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_args)
        module.parse_args()
        return options_of(seen[0])

    return read


@pytest.mark.parametrize('name', ['train', 'test'])
def test_has_all_options_of_mmpretrain(name, stock_options):
    ours = options_of(getattr(run_options, f'make_{name}_parser')())
    stock = stock_options(name)
    assert {key: ours.get(key) for key in stock} == stock
    added = dict(
        train={('--weights', ), ('--check-data', )}, test={('--tta-views', )})
    assert set(ours) - set(stock) == {('--debug', ), *added[name]}


def test_options_reach_the_config(tiny_config, tmp_path):
    cfg = config_of(tiny_config, '--work-dir', tmp_path, '--no-validate',
                    '--auto-scale-lr', '--resume', '--no-pin-memory',
                    '--no-persistent-workers', '--cfg-options',
                    'train_cfg.max_epochs=7', 'train_dataloader.num_workers=1')
    assert cfg.work_dir == str(tmp_path)
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    assert cfg.auto_scale_lr.enable and cfg.resume
    assert cfg.train_cfg.max_epochs == 7
    assert not cfg.train_dataloader.pin_memory
    assert not cfg.train_dataloader.persistent_workers


def test_drop_last_reaches_the_batch_sampler(tiny_config):
    cfg = config_of(tiny_config, '--cfg-options',
                    'train_dataloader.drop_last=True')
    assert cfg.train_dataloader.batch_sampler.drop_last
    assert 'drop_last' not in cfg.train_dataloader


def test_defaults(tiny_config):
    cfg = config_of(tiny_config, '--cfg-options',
                    'test_dataloader.num_workers=1')
    assert cfg.work_dir == 'work_dirs/tiny'
    assert cfg.test_dataloader.persistent_workers
    assert cfg.train_dataloader.collate_fn.type == 'default_collate'
    assert not cfg.val_dataloader.persistent_workers  # no workers


@pytest.mark.parametrize('root, found', [
    ('', 'empty'), ('~/data', 'not expanded'), ("it's", 'quote'),
    ('a"b', 'quote'), ('C:\\data', 'backslash')
])
def test_bad_data_root(tiny_config, monkeypatch, root, found):
    monkeypatch.setenv('CSD_DATA_ROOT', root)
    with pytest.raises(ValueError, match=f'CSD_DATA_ROOT.*{found}'):
        config_of(tiny_config)


@pytest.mark.parametrize('wrap', [
    lambda d: d, lambda d: dict(type='RepeatDataset', times=2, dataset=d),
    lambda d: dict(type='ConcatDataset', datasets=[d])
], ids=['plain', 'repeated', 'concatenated'])
def test_missing_data_folder(tiny_config, tmp_path, wrap):
    dataset = wrap(dict(type='CUB', data_root='nowhere/CUB_200_2011'))
    path = tmp_path / 'config.py'
    path.write_text(f'_base_ = {str(tiny_config)!r}\n'
                    'train_dataloader = dict(dataset=dict(_delete_=True, '
                    f'**{dataset!r}))\n')
    with pytest.raises(FileNotFoundError) as error:
        config_of(path)
    for text in ('nowhere/CUB_200_2011', 'CUB', 'train_dataloader',
                 'CSD_DATA_ROOT', 'docs/'):
        assert text in str(error.value)


def test_drawn_data_needs_no_folder_as_a_class_either(tiny_config):
    cfg = Config.fromfile(tiny_config)
    cfg.train_dataloader.dataset = dict(
        type=SyntheticLeaves, data_root='nowhere')
    check_dataset_folders(cfg)


def test_drawn_data_needs_no_folder(tiny_config, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(f'_base_ = {str(tiny_config)!r}\n'
                    'train_dataloader = dict(dataset=dict(_delete_=True, '
                    'type="SyntheticLeaves", data_root="nowhere"))\n')
    config_of(path)


def test_missing_checkpoint(tiny_config, capsys):
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        config_of(tiny_config, '--resume', 'nowhere.pth')
    with pytest.raises(SystemExit):
        config_of(tiny_config, '--weights', 'nowhere.pth')
    assert "--weights: there is no file 'nowhere.pth'" in (
        capsys.readouterr().err)


def test_a_checkpoint_in_the_home_folder(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save(dict(state_dict={}), tmp_path / 'start.pth')
    config_of(tiny_config, '--cfg-options', 'load_from=~/start.pth')
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        config_of(tiny_config, '--cfg-options', 'load_from=~/gone.pth')


@pytest.mark.parametrize('name', [
    'BFloat16OptimWrapper', 'mmpretrain.BFloat16OptimWrapper',
    BFloat16OptimWrapper])
def test_bfloat16_stays_on_a_gpu(name):
    cfg = Config(dict(optim_wrapper=dict(type=name)))
    run_options.set_amp(cfg, gpu=True)
    assert cfg.optim_wrapper.type == name


def test_load_from_counts_until_there_is_something_to_resume(tiny_config,
                                                             tmp_path):
    start = tmp_path / 'start.pth'
    torch.save(dict(state_dict={}), start)
    work_dir = tmp_path / 'run'

    def read():
        cfg = config_of(tiny_config, '--work-dir', work_dir, '--resume',
                        '--cfg-options', f'load_from={start}')
        return cfg.resume, cfg.load_from

    assert read() == (False, str(start))
    work_dir.mkdir()
    (work_dir / 'out.log').touch()
    (work_dir / 'other.pth').touch()
    assert read() == (False, str(start))
    for name in ('last_checkpoint', 'epoch_3.pth'):
        (work_dir / name).touch()
        assert read() == (True, None)
        (work_dir / name).unlink()


def test_missing_config():
    with pytest.raises(FileNotFoundError, match='nowhere.py'):
        config_of('nowhere.py')


@pytest.mark.parametrize('kind', ['empty', 'text', 'half', 'tensor'])
def test_damaged_checkpoint(tiny_config, tmp_path, kind):
    path = tmp_path / 'damaged.pth'
    torch.save(torch.ones(9), path)
    whole = path.read_bytes()
    path.write_bytes(dict(empty=b'', text=b'not a checkpoint',
                          half=whole[:len(whole) // 2], tensor=whole)[kind])
    with pytest.raises(ValueError, match='damaged.pth does not load'):
        config_of(tiny_config, '--weights', path)


def test_checkpoint_of_foreign_objects(tiny_config, tmp_path):
    """One that was saved without PlainCheckpointHook."""
    path = tmp_path / 'foreign.pth'
    torch.save(dict(state_dict={}, message_hub=argparse.Namespace()), path)
    with pytest.raises(ValueError, match='NO_WEIGHTS_ONLY_LOAD'):
        config_of(tiny_config, '--resume', path)


@pytest.mark.parametrize('prefix', ['backbone.', ''])
@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('init_cfg', [
    None,
    dict(type='Pretrained', checkpoint='http://x/y.pth', prefix='backbone'),
    [dict(type='Kaiming', layer='Conv2d'),
     dict(type='Pretrained', checkpoint='http://x/y.pth')]
], ids=['none', 'one', 'several'])
def test_weights(tiny_config, tmp_path, prefix, legacy, init_cfg):
    path = tmp_path / 'weights.pth'
    torch.save(
        dict(state_dict={f'{prefix}conv1.conv.weight': torch.ones(3)}),
        path,
        _use_new_zipfile_serialization=not legacy)
    config = tmp_path / 'config.py'
    config.write_text(f'_base_ = {str(tiny_config)!r}\n'
                      'model = dict(backbone=dict('
                      f'init_cfg={init_cfg!r}))\n')
    found = config_of(config, '--weights', path).model.backbone.init_cfg
    if isinstance(init_cfg, list):
        assert found[0] == init_cfg[0] and len(found) == 2
        found = found[1]
    assert found.type == 'Pretrained' and found.checkpoint == str(path)
    assert found.get('prefix', '').rstrip('.') == prefix.rstrip('.')


def test_training(trained, tiny_data):
    """The header, the checkpoints, and the last words."""
    header = trained.log[trained.log.index('Run:'):]
    for line in (f'CustomDataset in {tiny_data}/train: 24 images, 6 classes, '
                 '4-4-4 per class', '12 images, 6 classes, 2-2-2 per class',
                 'MobileNetV2 (widen_factor 0.25)', 'cpu, float32',
                 'alpha=1 x DDLQueueLoss (queue 24, margin 0.4)',
                 'beta=1 x SSDTLoss', 'EraseShuffleView'):
        assert line in header
    assert trained.log.count('Run:') == 1
    assert re.search(r'Best epoch: \d, accuracy/top1 \d+\.\d+; '
                     r'last epoch: 2, accuracy/top1 \d+\.\d+', trained.log)
    saved = torch.load(trained.checkpoint, weights_only=True)
    assert saved['state_dict']['head.contrast.queue.labels'].ge(0).all()
    assert list(trained.work_dir.glob('best_accuracy_top1_epoch_*.pth'))


def test_weights_and_resume(trained, run_python, repo_root, tiny_config,
                            tmp_path):
    """Start from a file; go on from the folder of the run."""
    command = [repo_root / 'tools/train.py', tiny_config, '--work-dir',
               tmp_path]
    first = run_python(*command, '--weights', trained.checkpoint,
                       '--cfg-options', 'train_cfg.max_epochs=1')
    assert re.search(r'weights +epoch_2.pth \(sha256 [0-9a-f]{8}\.\.\.\) for '
                     'backbone', first.stdout)
    # The weights that the config names are not needed any more.
    more = run_python(*command, '--resume', '--cfg-options',
                      'model.backbone.init_cfg.type=Pretrained',
                      'model.backbone.init_cfg.checkpoint=nowhere.pth')
    assert 'resumed epoch: 1, iter: 4' in more.stdout
    assert 'Epoch(train) [2][4/4]' in more.stdout
    assert 'Epoch(train) [1]' not in more.stdout
    assert re.search(r'Best epoch: [12], .*; last epoch: 2,', more.stdout)
    # Nothing that a user would have to understand.
    assert 'in message_hub is not' not in more.stdout
    assert 'dataset metainfo from the resumed' not in more.stdout


@pytest.mark.parametrize('tool', ['ours', 'stock'])
def test_failing_download(tool, run_python, repo_root, mmpretrain_tools,
                          tiny_config, tmp_path):
    tool = (repo_root / 'tools' if tool == 'ours' else mmpretrain_tools)
    done = run_python(
        tool / 'train.py',
        tiny_config,
        '--work-dir',
        tmp_path,
        '--cfg-options',
        'model.backbone.init_cfg.type=Pretrained',
        'model.backbone.init_cfg.checkpoint=http://127.0.0.1:9/weights-1.pth',
        fails=True,
        TORCH_HOME=str(tmp_path / 'torch'))
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith('FileNotFoundError')
    for text in ('http://127.0.0.1:9/weights-1.pth',
                 str(tmp_path / 'torch/hub/checkpoints/weights-1.pth'),
                 '--weights FILE', 'model.backbone.init_cfg.checkpoint=FILE'):
        assert text in last


def test_weights_of_another_model(run_python, repo_root, tiny_config,
                                  tmp_path):
    path = tmp_path / 'other.pth'
    torch.save({'stages.0.weight': torch.ones(3)}, path)
    done = run_python(
        repo_root / 'tools/train.py',
        tiny_config,
        '--work-dir',
        tmp_path,
        '--weights',
        path,
        fails=True)
    last = done.stdout.strip().splitlines()[-1]
    assert 'other.pth has no weights for backbone (MobileNetV2)' in last


def test_a_second_start_leaves_the_first_alone(run_python, repo_root,
                                               tiny_config, trained):
    files = {path: path.read_bytes() for path in trained.work_dir.rglob('*')
             if path.is_file()}
    done = run_python(repo_root / 'tools/train.py', tiny_config, '--work-dir',
                      trained.work_dir, fails=True)
    assert (f'{trained.work_dir} has the checkpoints of another training '
            '(epoch_1.pth, epoch_2.pth)') in done.stdout
    assert '--resume' in done.stdout
    assert {path: path.read_bytes() for path in trained.work_dir.rglob('*')
            if path.is_file()} == files


def test_dumped_config_trains_again(trained):
    """The config beside the checkpoints is complete."""
    cfg = Config.fromfile(trained.work_dir / 'tiny.py')
    assert cfg.default_hooks.plain_checkpoint.type == 'PlainCheckpointHook'


@pytest.mark.parametrize('wrapper', [
    'None', 'dict(_delete_=True)', 'dict(_delete_=True, optimizer=None)',
    "dict(_delete_=True, type='OptimWrapper', optimizer=dict(lr=1))"])
def test_a_config_without_an_optimizer(tiny_config, tmp_path, wrapper):
    path = tmp_path / 'config.py'
    path.write_text(f'_base_ = {str(tiny_config)!r}\n'
                    f'optim_wrapper = {wrapper}\n')
    with pytest.raises(ValueError, match='optim_wrapper=.* no optimizer'):
        config_of(path)


def test_another_optimizer_does_not_resume(trained, run_python, repo_root,
                                           tiny_config, tmp_path):
    done = run_python(
        repo_root / 'tools/train.py', tiny_config, '--work-dir', tmp_path,
        '--resume', trained.checkpoint, '--cfg-options',
        'optim_wrapper.optimizer.type=SGD', fails=True)
    assert "its optimizer is 'AdamW', and that of this run is 'SGD'" in (
        done.stdout)
    assert 'Traceback (most' not in done.stdout


def test_wrong_numbers_stop_before_the_first_step(run_python, repo_root,
                                                  tiny_config, tmp_path):
    tool = repo_root / 'tools/train.py'
    done = run_python(tool, tiny_config, '--work-dir', tmp_path,
                      '--cfg-options', 'train_cfg.val_interval=0', fails=True)
    assert 'val_interval=0: at least 1' in done.stdout.splitlines()[-1]
    log, = tmp_path.glob('*/*.log')
    assert 'Traceback (most' in log.read_text()
    # Its remedy.
    done = run_python(tool, tiny_config, '--work-dir', tmp_path / 'again',
                      '--no-validate', '--cfg-options',
                      'train_cfg.val_interval=0', 'train_cfg.max_epochs=1')
    assert 'Saving checkpoint at 1 epochs' in done.stdout


def test_a_mistyped_path_is_told_in_a_line(run_python, repo_root, tmp_path):
    done = run_python(repo_root / 'tools/train.py', 'confgis/nope.py',
                      fails=True)
    *_, hint, last = done.stdout.splitlines()
    assert last == ('FileNotFoundError: There is no config file '
                    "'confgis/nope.py'.")
    assert '--debug' in hint and 'Traceback (most' not in done.stdout
