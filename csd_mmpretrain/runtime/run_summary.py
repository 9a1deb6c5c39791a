"""What a person wants to know of a run, in a few lines."""
import os
from collections import Counter
from statistics import median
from typing import Any, Iterable, List, Optional, Tuple

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner
from torch import nn

from csd_mmpretrain.checkpoints.pretrained import (
    file_hash,
    local_path,
    pretrained_parts,
)
from csd_mmpretrain.datasets.same_classes import dataset_classes

from .bfloat16_optim_wrapper import BFloat16OptimWrapper


def summarise(runner: Runner, model: nn.Module) -> str:
    """Describe a run that is about to train.

    Args:
        runner (Runner): The runner, its loaders and optimizer built.
        model (nn.Module): The model without a wrapper.

    Returns:
        str: One line for each of: the data, the model, its weights and
        parameters, the device, the batch, the losses and the second view;
        what the model does not have is left out.
    """
    rows = [('train data', describe_dataset(runner.train_dataloader.dataset))]
    if runner.val_loop is not None:
        rows.append(('val data',
                     describe_dataset(runner.val_dataloader.dataset)))
    rows.append(('model', describe_model(model, runner.cfg)))
    rows.extend(('weights', line)
                for line in describe_weights(model, runner.cfg))
    rows.append(('parameters', describe_parameters(model)))
    rows.append(('device', describe_device(runner, model)))
    rows.append(('batch', describe_batch(runner)))
    rows.append(('loss', describe_losses(getattr(model, 'head', None))))
    rows.extend(('second view', line)
                for line in describe_views(runner.hooks))
    return 'Run:\n' + '\n'.join(f'    {name:<12}{text}'
                                for name, text in rows if text)


def describe_dataset(dataset: Any) -> str:
    """Describe a dataset.

    Args:
        dataset (Dataset): Any dataset, or wrapper of datasets, of mmpretrain.

    Returns:
        str: Its class, its folder, its images and classes, the images per
        class (where an image has one label), and the size the network sees.
    """
    inner = dataset
    while not hasattr(inner, 'pipeline') and hasattr(inner, 'dataset'):
        inner = inner.dataset
    parts = [f'{len(dataset)} images']
    classes = dataset_classes(dataset)
    if classes:
        parts.append(f'{len(classes)} classes')
    counts = images_per_class(dataset)
    if counts:
        parts.append(f'{min(counts)}-{median(counts):g}-{max(counts)} per '
                     'class (min-median-max)')
        if classes and len(counts) < len(classes):
            parts.append(f'{len(classes) - len(counts)} classes without any')
    size = input_size(getattr(inner, 'pipeline', None))
    if size:
        parts.append(f'{size} px')
    root = getattr(inner, 'data_root', None)
    name = type(dataset).__name__ + (f' in {root}' if root else '')
    return f'{name}: {", ".join(parts)}'


def images_per_class(dataset: Any) -> List[int]:
    """Count the images of each class that occurs.

    Args:
        dataset (Dataset): Any dataset, or wrapper of datasets, of mmpretrain.

    Returns:
        list[int]: The counts, or nothing where an image has no label or
        several.
    """
    if not hasattr(dataset, 'get_data_info'):
        return []
    labels = (
        dataset.get_data_info(index).get('gt_label')
        for index in range(len(dataset)))
    try:
        return list(Counter(int(label) for label in labels).values())
    except TypeError:
        return []


def input_size(pipeline: Any) -> Optional[str]:
    """Read the size of the images from a pipeline.

    Args:
        pipeline (Compose): The built pipeline.

    Returns:
        str, optional: What its last crop or resize makes, such as '448' or
        '224 x 448' (height x width).
    """
    for step in reversed(getattr(pipeline, 'transforms', [])):
        size = getattr(step, 'crop_size', None)
        scale = getattr(step, 'scale', None)
        if size is None and isinstance(scale, (int, tuple)):
            # Resize and RandomResizedCrop keep (width, height).
            size = scale[::-1] if isinstance(scale, tuple) else scale
        if size is not None:
            sides = size if isinstance(size, (tuple, list)) else (size, )
            sides = sides[:1] if len(set(sides)) == 1 else sides
            return ' x '.join(str(side) for side in sides)
    return None


def describe_model(model: nn.Module, cfg: Config) -> str:
    """Name the parts of a model.

    Args:
        model (nn.Module): The model.
        cfg (Config): The whole config, for the size of the backbone.

    Returns:
        str: Backbone with its size, neck and head.
    """
    parts = []
    backbone = getattr(model, 'backbone', None)
    if backbone is not None:
        settings = cfg.get('model', {}).get('backbone', {})
        keys = ('arch', 'depth', 'model_name', 'widen_factor')
        parts.append(type(backbone).__name__ + _settings(
            (key, settings.get(key)) for key in keys
            if not isinstance(settings.get(key), dict)))
    neck = getattr(model, 'neck', None)
    if neck is not None:
        parts.append(type(neck).__name__ + _settings(
            (key, getattr(neck, key, None)) for key in ('kernel', 'gating')))
    head = getattr(model, 'head', None)
    if head is not None:
        inner = getattr(head, 'cls_head', None)
        parts.append(type(head).__name__ + (
            f' ({type(inner).__name__})' if inner is not None else ''))
    return ' - '.join(parts) or type(model).__name__


def describe_weights(model: nn.Module, cfg: Config) -> List[str]:
    """Name the files of weights that a model starts from.

    Args:
        model (nn.Module): The model.
        cfg (Config): The whole config, for ``load_from``.

    Returns:
        list[str]: For each file its name, the first eight digits of its
        SHA-256, and the part of the model it is for.
    """
    files = [(init_cfg['checkpoint'], name)
             for name, _, init_cfg in pretrained_parts(model)]
    if cfg.get('load_from'):
        files.append((cfg.load_from, 'the whole model'))
    lines = []
    for checkpoint, part in files:
        path = local_path(checkpoint)
        if path is not None and os.path.isfile(path):
            checkpoint = (f'{os.path.basename(path)} '
                          f'(sha256 {file_hash(path)}...)')
        lines.append(f'{checkpoint} for {part}')
    return lines or ['none, or those that the backbone brings itself']


def describe_parameters(model: nn.Module) -> str:
    """Count the parameters of a model.

    Args:
        model (nn.Module): The model.

    Returns:
        str: All and the trainable ones, in millions.
    """
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    total = sum(size for size, _ in sizes)
    trainable = sum(size for size, trained in sizes if trained)
    return f'{total / 1e6:.2f} M, {trainable / 1e6:.2f} M trainable'


def describe_device(runner: Runner, model: nn.Module) -> str:
    """Name the device and the number format of a training.

    Args:
        runner (Runner): The runner, its optimizer built.
        model (nn.Module): The model.

    Returns:
        str: Such as 'cpu, float32' or 'NVIDIA H200, float16 (AMP)'.
    """
    weight = next(model.parameters())
    device = str(weight.device)
    if weight.is_cuda:
        device = torch.cuda.get_device_name(weight.device)
    kind = weight.dtype
    if isinstance(runner.optim_wrapper,
                  (AmpOptimWrapper, BFloat16OptimWrapper)):
        kind = runner.optim_wrapper.cast_dtype or torch.float16
        return f'{device}, {str(kind)[6:]} (AMP)'
    return f'{device}, {str(kind)[6:]}'


def describe_batch(runner: Runner) -> str:
    """Tell how many images one step of the optimizer sees.

    Args:
        runner (Runner): The runner, its loaders and optimizer built.

    Returns:
        str: The total, and what it is made of.
    """
    size = getattr(runner.train_dataloader.batch_sampler, 'batch_size', None)
    counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    if not size:
        return ''
    text = f'{size * runner.world_size * counts} images'
    if runner.world_size > 1:
        text += f', {size} on each of {runner.world_size} processes'
    if counts > 1:
        text += f', accumulated over {counts} steps'
    return text


def describe_losses(head: Optional[nn.Module]) -> str:
    """Write down what a head minimises, with all weights.

    Args:
        head (nn.Module, optional): A stock head or a ``CSDHead``.

    Returns:
        str: Such as '1 x CrossEntropyLoss', with the terms of the second
        view, of DDL (alpha) and of SSDT (beta) where there are any.
    """
    if head is None:
        return ''
    terms = [_term(getattr(head, 'loss_module', None))]
    if hasattr(head, 'cls_head'):
        if head.aug_loss_weight:
            terms.append(f'{head.aug_loss_weight:g} x (the same on the '
                         'second view)')
        terms.append(_term(head.ddl, 'alpha=', 'margin', 'metric'))
        terms.append(_term(head.ssdt, 'beta=', 'temperature', 'direction'))
    return ' + '.join(term for term in terms if term)


def _term(loss: Optional[nn.Module], symbol: str = '', *names: str) -> str:
    if loss is None:
        return ''
    settings = [(name, getattr(loss, name, None)) for name in names]
    if hasattr(loss, 'queue'):
        settings.insert(0, ('queue', loss.queue.length))
    weight = getattr(loss, 'loss_weight', 1)
    return f'{symbol}{weight:g} x {type(loss).__name__}{_settings(settings)}'


def describe_views(hooks: Iterable[Hook]) -> List[str]:
    """Describe the second view.

    Args:
        hooks (Iterable[Hook]): The hooks of the run.

    Returns:
        list[str]: A line for each hook that makes one: the view's class and
        settings, or that it is switched off.
    """
    lines = []
    for hook in hooks:
        view = getattr(hook, 'view', None)
        if view is None:
            continue
        names = ('mode', 'threshold', 'area', 'aspect', 'scale', 'ratio',
                 'flip', 'jitter')
        settings = _settings((name, getattr(view, name, None))
                             for name in names)
        lines.append(f'{type(view).__name__}{settings}'
                     if getattr(hook, 'enabled', True) else 'switched off')
    return lines


def _settings(pairs: Iterable[Tuple[str, Any]]) -> str:
    text = ', '.join(f'{name} {value}' for name, value in pairs
                     if value is not None)
    return f' ({text})' if text else ''
