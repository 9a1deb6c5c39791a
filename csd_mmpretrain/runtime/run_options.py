"""Command lines of the train and test tools, and the config they make."""
import logging
import os
from argparse import ArgumentParser, Namespace
from typing import Optional, Sequence, Tuple

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from csd_mmpretrain.checkpoints.checkpoint_files import (
    checkpoint_folder,
    newest_whole,
    no_checkpoint,
    read_record,
    refuse_overwriting,
    saved_steps,
)
from csd_mmpretrain.checkpoints.pretrained import (
    local_path,
    read_names,
    use_weights,
)
from csd_mmpretrain.datasets.data_root import (
    LOADERS,
    check_data_root_variable,
    check_dataset_folders,
)
from csd_mmpretrain.utils.cores import SLOW_BFLOAT16, lacks_bfloat16
from csd_mmpretrain.utils.hook_settings import hook_settings
from csd_mmpretrain.utils.package_files import PACKAGE, package_files
from csd_mmpretrain.utils.type_name import type_name

from .launch import VARIABLES, is_sharded
from .tool_options import (
    ToolParser,
    add_cfg_options,
    add_weights,
    output_file,
    output_folder,
)
from .tta_views import VIEWS, set_tta

OURS = f'{PACKAGE.name}::'
LAUNCHERS = ('none', *VARIABLES)
# Those that mmengine itself switches off by None.
STOCK_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger',
               'param_scheduler', 'checkpoint')


def make_train_parser() -> ArgumentParser:
    """Make the command line of tools/train.py.

    Returns:
        ArgumentParser: All options of mmpretrain's train tool,
        ``--weights`` and ``--check-data``.
    """
    parser = _make_parser('Train a model.', 'config')
    add_weights(parser)
    _add_flags(parser, {
        '--check-data':
        'decode all images of the training, validation and test data, report '
        'all broken ones, and exit without training',
        '--no-validate': 'do not validate during training',
        '--auto-scale-lr':
        'scale the learning rate with the total batch size',
        '--no-persistent-workers':
        'start the data workers anew for every epoch'})
    parser.add_argument(
        '--resume', nargs='?', const='auto', metavar='CHECKPOINT',
        help='go on from this checkpoint; without a value, from the latest '
        'one in the work directory, and where there is none, start as without '
        'this option')
    return parser


def make_test_parser() -> ArgumentParser:
    """Make the command line of tools/test.py.

    Returns:
        ArgumentParser: All options of mmpretrain's test tool, and
        ``--tta-views``.
    """
    parser = _make_parser('Test a model.', 'config', 'checkpoint')
    _add_flags(parser, {
        '--show': 'show the predictions in a window',
        '--tta':
        'average over the views of test-time augmentation: those of '
        '`tta_model` and `tta_pipeline` in the config, or the image and its '
        'mirror image'})
    add = parser.add_argument
    add('--out', metavar='FILE', help='write the results here')
    add('--out-item', choices=['metrics', 'pred'],
        help='what to write to --out: the metrics (.json, .yaml or .pkl), or '
        'the predictions (.json or .pkl), which is the default')
    add('--show-dir', metavar='DIR', help='draw the predictions here')
    add('--interval', type=int, default=1,
        help='draw or show every n-th image')
    add('--wait-time', type=float, default=2,
        help='seconds that a window stays')
    add('--tta-views', choices=VIEWS,
        help='average over these views, whatever the config says: the image '
        'and its mirror image; the crops at the center and the four corners, '
        'of the size of its CenterCrop; these and their mirror images')
    return parser


def _make_parser(description: str, *files: str) -> ArgumentParser:
    parser = ToolParser(description=description)
    add = parser.add_argument
    for name in files:
        add(name, help=f'{name} file')
    add('--work-dir', metavar='DIR',
        help='folder of logs and checkpoints; ./work_dirs/<config name> by '
        'default')
    _add_flags(parser, {
        '--amp': 'automatic mixed precision; in bfloat16 without a GPU',
        '--no-pin-memory': 'do not pin the memory of the batches'})
    add_cfg_options(parser)
    add('--launcher', choices=LAUNCHERS, default='none',
        help='what has started the processes')
    add('--local_rank', '--local-rank', type=int, default=0,
        help='set by some launchers')
    return parser


def _add_flags(parser: ArgumentParser, flags: dict) -> None:
    for name, text in flags.items():
        parser.add_argument(name, action='store_true', help=text)


def make_train_config(args: Namespace) -> Config:
    """Make the config that a train command asks for.

    Args:
        args (Namespace): What :func:`make_train_parser` has parsed.

    Returns:
        Config: Ready for the runner.

    Raises:
        FileExistsError: If it would write over another training's checkpoints.
        FileNotFoundError: If the data's folder or a checkpoint is missing.
        ValueError: If a setting or an option does not fit.
    """
    cfg = _load_run_config(args)
    _check_optimizer(cfg)
    if args.weights is not None:
        use_weights(cfg, args.weights)
    if args.amp:
        set_amp(cfg, torch.cuda.is_available())
    elif (type_name(cfg.optim_wrapper.get('type')) == 'AmpOptimWrapper'
          and not torch.cuda.is_available()):
        raise ValueError('optim_wrapper.type=AmpOptimWrapper needs a GPU, and '
                         'torch finds none. Give --amp, which uses bfloat16 '
                         'without one, or set `--cfg-options '
                         'optim_wrapper.type=OptimWrapper`.')
    if args.auto_scale_lr:
        if not cfg.get('auto_scale_lr'):
            raise ValueError(
                f'--auto-scale-lr: {args.config} has no `auto_scale_lr`. Add '
                'auto_scale_lr=dict(base_batch_size=N), where N is the batch '
                'size that its learning rate is meant for.')
        cfg.auto_scale_lr.enable = True
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.resume not in (None, 'auto'):
        cfg.resume, cfg.load_from = True, args.resume
    elif args.resume:
        folder, template = _checkpoints(cfg)
        record = read_record(cfg.work_dir)
        fresh = record is None and not saved_steps(folder, template)
        if not (cfg.get('load_from') and fresh):
            cfg.resume, cfg.load_from = True, None
        if cfg.get('runner_type') == 'FlexibleRunner' and not fresh:
            # It loads before any hook could choose.
            cfg.load_from, faults = newest_whole(folder, template, record)
            if cfg.load_from is None:
                raise no_checkpoint(faults)
    if not cfg.get('resume'):
        refuse_overwriting(*_checkpoints(cfg))
    _check_checkpoint(cfg)
    for loader in filter(cfg.get, LOADERS):
        cfg[loader].setdefault('persistent_workers', True)
        _set_loader(cfg[loader], args)
        if args.no_persistent_workers:
            cfg[loader].persistent_workers = False
    check_dataset_folders(cfg, ('train_dataloader', 'val_dataloader'))
    return cfg


def _check_optimizer(cfg: Config) -> None:
    """Refuse a config from which mmengine would build no optimizer."""
    wrapper = cfg.get('optim_wrapper') or {}
    optimizer = wrapper.get('optimizer') or {}
    if not (wrapper.get('constructor') or optimizer.get('type')):
        raise ValueError(
            f'optim_wrapper={wrapper}: the config has no optimizer to train '
            "with. Add optim_wrapper=dict(optimizer=dict(type='AdamW', "
            'lr=1e-4)), or inherit a schedule of configs/_base_/schedules.')


def _checkpoints(cfg: Config) -> Tuple[str, str]:
    """Tell where a training keeps its checkpoints, and their name."""
    hook = cfg.get('default_hooks', {}).get('checkpoint') or {}
    unit = 'epoch' if hook.get('by_epoch', True) else 'iter'
    template = hook.get('filename_tmpl') or f'{unit}_{{}}.pth'
    return checkpoint_folder(cfg.work_dir, hook.get('out_dir')), template


def make_test_config(args: Namespace) -> Config:
    """Make the config that a test command asks for.

    Args:
        args (Namespace): What :func:`make_test_parser` has parsed.

    Returns:
        Config: Ready for the runner.

    Raises:
        FileNotFoundError: If the data's folder or the checkpoint is missing.
        OSError: If a file to write cannot be written.
        ValueError: If a setting or an option does not fit.
    """
    if args.out_item is not None and args.out is None:
        raise ValueError('--out-item tells what to write, but not where. Add '
                         '`--out FILE`.')
    if args.out is not None:
        output_file(args.out)
    if args.show_dir is not None:
        output_folder(args.show_dir)
    cfg = _load_run_config(args)
    cfg.load_from = args.checkpoint
    cfg.resume = False
    # With stock configs, too, scores of nan are no result.
    if not hook_settings(cfg, 'FiniteCheckHook'):
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []),
                            dict(type='FiniteCheckHook')]
    # The training's own record in the work directory stays.
    name, end = os.path.splitext(cfg.filename)
    cfg = Config(cfg._cfg_dict, cfg.text, f'{name}_test{end}')
    _check_checkpoint(cfg)
    if args.amp:
        cfg.test_cfg.fp16 = True
        if not torch.cuda.is_available() and lacks_bfloat16():
            print_log(SLOW_BFLOAT16, 'current', logging.WARNING)
    if args.show or args.show_dir is not None:
        _set_drawing(cfg, args)
    if args.tta or args.tta_views:
        set_tta(cfg, args.tta_views)
    if cfg.get('test_dataloader') is not None:
        _set_loader(cfg.test_dataloader, args)
    check_dataset_folders(cfg, ('test_dataloader', ))
    return cfg


def load_config(path: str, options: Optional[dict] = None) -> Config:
    """Read a config file, with the changes of ``--cfg-options``.

    Args:
        path (str): The config file, or one of the package:
            ``csd_mmpretrain::csdnet/grocery81.py``.
        options (dict, optional): New values by dotted key. Defaults to None.

    Returns:
        Config: The whole config.

    Raises:
        FileNotFoundError: If there is no such file.
        SyntaxError: If it is no Python.
        ModuleNotFoundError: If a base of another package cannot be found.
        ValueError: If CSD_DATA_ROOT cannot be put into it.
    """
    check_data_root_variable()
    if path.startswith(OURS):
        path = str(package_files() / 'configs' / path[len(OURS):])
    if not os.path.isfile(path):
        raise FileNotFoundError(f'There is no config file {path!r}.')
    try:
        cfg = Config.fromfile(path)
    except SyntaxError as error:
        raise SyntaxError(f'{path}, or a base of it: {error}') from None
    except ModuleNotFoundError as error:
        if error.name != 'pkg_resources':
            raise
        raise ModuleNotFoundError(
            f'{path}: for a `_base_` with `::` mmengine needs pkg_resources, '
            'which setuptools has dropped. Install it with '
            '`pip install "setuptools<82"`.') from None
    _drop_scopes(cfg._cfg_dict, (PACKAGE.name, cfg.get('default_scope')))
    if options is not None:
        cfg.merge_from_dict(options)
    hooks = cfg.get('default_hooks') or {}
    for name, hook in list(hooks.items()):
        if hook is None and name not in STOCK_HOOKS:
            del hooks[name]
    return cfg


def _drop_scopes(settings: object, scopes: Sequence[str]) -> None:
    """Drop the scope that a base with `::` adds, where it is the default.

    Classes of this package are in mmpretrain's scope; mmengine would warn
    that there is no other.
    """
    if isinstance(settings, dict):
        if '_scope_' in settings and settings['_scope_'] in scopes:
            del settings['_scope_']
        settings = list(settings.values())
    if isinstance(settings, (list, tuple)):
        for value in settings:
            _drop_scopes(value, scopes)


def _load_run_config(args: Namespace) -> Config:
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = os.path.splitext(os.path.basename(args.config))[0]
        cfg.work_dir = os.path.join('work_dirs', name)
    return cfg


def _check_checkpoint(cfg: Config) -> None:
    if cfg.get('load_from') is None or '://' in cfg.load_from:
        return
    checkpoint = local_path(cfg.load_from)
    if is_sharded(cfg) and os.path.isdir(checkpoint):
        return
    if not os.path.isfile(checkpoint):
        raise FileNotFoundError(f'There is no checkpoint {checkpoint!r}.')
    read_names(checkpoint)


def set_amp(cfg: Config, gpu: bool) -> None:
    """Set mixed precision: float16 on a GPU, bfloat16 on a CPU or with FSDP.

    With FSDP the scale of float16's losses would not be resumed.

    Args:
        cfg (Config): Its ``optim_wrapper`` is changed in place.
        gpu (bool): Whether the training is on a GPU.
    """
    wrapper = cfg.optim_wrapper
    if not gpu or is_sharded(cfg):
        wrapper.type = 'BFloat16OptimWrapper'
        for setting in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(setting, None)
    elif type_name(wrapper.get('type')) != 'BFloat16OptimWrapper':
        wrapper.type = 'AmpOptimWrapper'
        wrapper.setdefault('loss_scale', 'dynamic')


def _set_loader(loader: dict, args: Namespace) -> None:
    loader.setdefault('collate_fn', dict(type='default_collate'))
    loader.setdefault('pin_memory', torch.cuda.is_available())
    if args.no_pin_memory:
        loader.pin_memory = False
    if loader.get('batch_sampler') and 'drop_last' in loader:
        loader.batch_sampler.drop_last = loader.pop('drop_last')
    if not loader.get('num_workers'):
        loader.persistent_workers = False


def _set_drawing(cfg: Config, args: Namespace) -> None:
    if args.tta or args.tta_views:
        raise ValueError('--show and --show-dir draw one view of an image, '
                         'and --tta makes several. Leave one of them out.')
    if not cfg.get('default_hooks', {}).get('visualization'):
        raise ValueError(
            '--show and --show-dir: the config has no '
            '`default_hooks.visualization` to draw with. Add '
            "visualization=dict(type='VisualizationHook') there.")
    cfg.default_hooks.visualization.update(
        enable=True,
        show=args.show,
        wait_time=args.wait_time,
        out_dir=args.show_dir,
        interval=args.interval)
