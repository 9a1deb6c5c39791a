"""A run's header, and its best and last epoch."""
import os
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any, Dict, List, Optional, Tuple

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import IterBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS
from torch import nn
from torch.utils.data import Dataset

from csd_mmpretrain.checkpoints.pretrained import (
    compare_weights,
    file_hash,
    local_path,
    pretrained_parts,
)
from csd_mmpretrain.datasets.data_check import left_out_images
from csd_mmpretrain.datasets.same_classes import dataset_classes
from csd_mmpretrain.datasets.samples import source_datasets
from csd_mmpretrain.runtime.bfloat16_optim_wrapper import BFloat16OptimWrapper
from csd_mmpretrain.utils.protocol import describe, inference_model
from csd_mmpretrain.utils.unwrap import unwrap
from csd_mmpretrain.utils.wording import first_names

STATE = 'run_summary'


@HOOKS.register_module()
class RunSummaryHook(Hook):
    """Log what is going to be trained, and the best and last epoch.

    The header names the data with the images per class, the model, its
    weights' file and hash, parameters, device, batch and loss, and what parts
    of the model and hooks tell by ``describe``, such as the second view. The
    best epoch survives a resume.

    Args:
        metric (str, optional): The metric that ranks epochs, such as
            'accuracy/top1'. Defaults to None, the first number reported.
        rule (str): Whether a 'greater' or a 'less' value is better. Defaults
            to 'greater'.

    Raises:
        ValueError: If the rule is unknown, or no such metric is reported.

    Example:
        ::

            default_hooks = dict(run_summary=dict(type='RunSummaryHook'))
    """

    # Before CheckpointHook saves the best epoch, so that it knows of it.
    priority = 'ABOVE_NORMAL'

    def __init__(self,
                 metric: Optional[str] = None,
                 rule: str = 'greater') -> None:
        if rule not in ('greater', 'less'):
            raise ValueError(f'RunSummaryHook: unknown rule={rule!r}; choose '
                             "'greater' or 'less'.")
        self.metric = metric
        self.rule = rule
        self._training = False

    def before_train(self, runner: Runner) -> None:
        self._training = True
        if runner.rank == 0:
            runner.logger.info(_summarize(runner))

    def after_val_epoch(self,
                        runner: Runner,
                        metrics: Optional[Dict[str, float]] = None) -> None:
        if not self._training or not metrics:
            return
        name = self.metric or next(
            (key for key in metrics if _is_number(metrics[key])), None)
        if name is None:
            return
        if name not in metrics:
            raise ValueError(
                f'RunSummaryHook: metric={name!r} is not among those '
                f'reported: {", ".join(metrics)}.')
        iters = isinstance(runner.train_loop, IterBasedTrainLoop)
        last = dict(
            step=runner.iter if iters else runner.epoch,
            value=float(metrics[name]))
        best = runner.message_hub.get_info(STATE, {}).get('best', last)
        choose = max if self.rule == 'greater' else min
        runner.message_hub.update_info(
            STATE,
            dict(
                metric=name,
                unit='iteration' if iters else 'epoch',
                best=choose(best, last, key=lambda epoch: epoch['value']),
                last=last))

    def after_train(self, runner: Runner) -> None:
        self._training = False
        state = runner.message_hub.get_info(STATE)
        if state is None or runner.rank != 0:
            return
        best, last = (
            f'{which} {state["unit"]}: {state[which]["step"]}, '
            f'{state["metric"]} {state[which]["value"]:.4f}'
            for which in ('best', 'last'))
        runner.logger.info(f'{best.capitalize()}; {last}.')


def _is_number(value: object) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _summarize(runner: Runner) -> str:
    model, cfg = unwrap(runner.model), runner.cfg
    rows = _data('train data', runner.train_dataloader.dataset)
    if runner.val_loop is not None:
        rows += _data('val data', runner.val_dataloader.dataset)
    rows.append(('model', _model(model, cfg)))
    rows += [('weights', line) for line in _weights(runner)]
    rows += [('parameters', _parameters(model)),
             ('device', _device(runner, model)), ('batch', _batch(runner))]
    head = getattr(model, 'head', None)
    loss = getattr(head, 'loss_module', None)
    for part in [model, *model.children(), *runner.hooks]:
        lines = {}
        if loss is not None and part is head:
            lines['loss'] = (f'{getattr(loss, "loss_weight", 1):g} x '
                             f'{type(loss).__name__}')
        rows += {**lines, **describe(part)}.items()
    return 'Run:\n' + '\n'.join(f'    {name:<12}{text}'
                                for name, text in rows if text)


def _data(title: str, dataset: Dataset) -> List[Tuple[str, str]]:
    rows = [(title, _dataset(dataset))]
    left_out = [path for source in source_datasets(dataset)
                for path in left_out_images(source)]
    if left_out:
        kinds = sorted({Path(path).suffix for path in left_out})
        rows.append(('left out', f'{len(left_out)} {", ".join(kinds)} files, '
                     'which the dataset does not read (`extensions`): '
                     + first_names(left_out, 3)))
    return rows


def _dataset(dataset: Dataset) -> str:
    inner = dataset
    while not hasattr(inner, 'pipeline') and hasattr(inner, 'dataset'):
        inner = inner.dataset
    facts = [f'{len(dataset)} images']
    classes = dataset_classes(dataset)
    if classes:
        facts.append(f'{len(classes)} classes')
    counts = _images_per_class(dataset)
    if counts:
        numbers = counts.values()
        facts.append(f'{min(numbers)}-{median(numbers):g}-{max(numbers)} per '
                     'class (min-median-max)')
        if classes and len(counts) < len(classes):
            without = [name for label, name in enumerate(classes)
                       if label not in counts]
            facts.append(f'none of {first_names(without, 3)}')
    size = _input_size(getattr(inner, 'pipeline', None))
    if size:
        facts.append(f'{size} px')
    root = getattr(inner, 'data_root', None)
    name = type(dataset).__name__ + (f' in {root}' if root else '')
    return f'{name}: {", ".join(facts)}'


def _images_per_class(dataset: Dataset) -> Dict[int, int]:
    """Count the images of each class; empty without one label per image."""
    if not hasattr(dataset, 'get_data_info'):
        return {}
    labels = (dataset.get_data_info(index).get('gt_label')
              for index in range(len(dataset)))
    try:
        return Counter(int(label) for label in labels)
    except TypeError:
        return {}


def _input_size(pipeline: Any) -> Optional[str]:
    """Read the size of the last crop or resize, height x width."""
    for step in reversed(getattr(pipeline, 'transforms', [])):
        size = getattr(step, 'crop_size', None)
        scale = getattr(step, 'scale', None)
        if size is None and isinstance(scale, (int, tuple)):
            # Resize and RandomResizedCrop keep (width, height).
            size = scale[::-1] if isinstance(scale, tuple) else scale
        if size is not None:
            sides = size if isinstance(size, (tuple, list)) else (size, )
            sides = sides[:1] if len(set(sides)) == 1 else sides
            return ' x '.join(map(str, sides))
    return None


def _model(model: nn.Module, cfg: Config) -> str:
    names = []
    for name in ('backbone', 'neck', 'head'):
        part = getattr(model, name, None)
        if part is None:
            continue
        inner, details = inference_model(part), []
        if name == 'backbone':
            settings = cfg.get('model', {}).get('backbone', {})
            details = [
                f'{key} {settings[key]}'
                for key in ('arch', 'depth', 'model_name', 'widen_factor')
                if not isinstance(settings.get(key), (dict, type(None)))]
        elif inner is not part:
            details = [type(inner).__name__]
        names.append(type(part).__name__
                     + (f' ({", ".join(details)})' if details else ''))
    return ' - '.join(names) or type(model).__name__


def _weights(runner: Runner) -> List[str]:
    if runner.iter:
        return ['those of the checkpoint']
    lines = []
    for name, module, init_cfg in pretrained_parts(unwrap(runner.model)):
        line = f'{_file(init_cfg["checkpoint"])} for {name}'
        if _is_here(init_cfg['checkpoint']):
            taken, others = compare_weights(module, init_cfg)
            line += f', {len(taken)} of {len(taken) + len(others)} tensors'
        lines.append(line)
    load_from = runner.cfg.get('load_from')
    if load_from:
        lines.append(f'{_file(load_from)} for the whole model')
    return lines or ['none, or those that the backbone brings itself']


def _is_here(checkpoint: str) -> bool:
    path = local_path(checkpoint)
    return path is not None and os.path.isfile(path)


def _file(checkpoint: str) -> str:
    if not _is_here(checkpoint):
        return checkpoint
    path = local_path(checkpoint)
    return f'{os.path.basename(path)} (sha256 {file_hash(path)}...)'


def _parameters(model: nn.Module) -> str:
    total = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return f'{total / 1e6:.2f} M, {trainable / 1e6:.2f} M trainable'


def _device(runner: Runner, model: nn.Module) -> str:
    weight = next(model.parameters())
    device = str(weight.device)
    if weight.is_cuda:
        device = torch.cuda.get_device_name(weight.device)
    kind, amp = weight.dtype, ''
    if isinstance(runner.optim_wrapper,
                  (AmpOptimWrapper, BFloat16OptimWrapper)):
        kind = runner.optim_wrapper.cast_dtype or torch.float16
        amp = ' (AMP)'
    return f'{device}, {str(kind)[6:]}{amp}'


def _batch(runner: Runner) -> str:
    size = getattr(runner.train_dataloader.batch_sampler, 'batch_size', None)
    steps = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    if not size:
        return ''
    text = f'{size * runner.world_size * steps} images'
    if runner.world_size > 1:
        text += f', {size} on each of {runner.world_size} processes'
    if steps > 1:
        text += f', accumulated over {steps} steps'
    return text
