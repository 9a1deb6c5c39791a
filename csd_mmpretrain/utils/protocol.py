"""What a part of a run tells the shared rooms, where it has a say.

Any module of a model, and any hook, may have one of these members. A plain
mmpretrain classifier has none and needs none.
"""
from typing import Any, Dict, Sequence, Tuple

import torch
from mmpretrain.registry import MODELS
from torch import nn


def training_only_keys(model: nn.Module) -> Tuple[str, ...]:
    """List the prefixes of the state that inference does not need.

    A module names its own in ``training_only_keys`` (tuple[str]).

    Args:
        model (nn.Module): The whole model.

    Returns:
        tuple[str]: Such as ``('head.contrast.', 'head.distill.')``.
    """
    return tuple(
        f'{name}.{key}'.lstrip('.') for name, module in model.named_modules()
        for key in getattr(module, 'training_only_keys', ()))


def inference_model(part: nn.Module) -> nn.Module:
    """Give what of a model, or of its head, predicts or gives features.

    A part that keeps more for its training returns it by
    ``inference_model()``.

    Args:
        part (nn.Module): A model, or a part of one.

    Returns:
        nn.Module: ``part`` itself where it does not tell.
    """
    tell = getattr(part, 'inference_model', None)
    return part if tell is None else tell()


def describe(part: Any) -> Dict[str, str]:
    """Ask a module or a hook for lines of the run's header.

    Args:
        part (nn.Module | Hook): It tells by ``describe()``.

    Returns:
        dict[str, str]: Lines by title; empty where it does not tell.
    """
    tell = getattr(part, 'describe', None)
    return {} if tell is None else tell()


def views_per_image(part: Any) -> float:
    """Ask how many images of a step one image of the data becomes.

    Of a hook that makes further views: all of them, smaller ones by their
    fraction of the pixels. Of a model: the crops that it wants from the
    pipeline. With more than one, the backbone runs several times in a step.

    Args:
        part (nn.Module | Hook): It tells by ``views_per_image``.

    Returns:
        float: 1 where it does not tell.
    """
    return getattr(part, 'views_per_image', 1)


def has_network_passes(settings: dict) -> bool:
    """Ask whether a model can run the networks of its training step alone.

    A registered model tells by ``network_passes(inputs)``: it prepares a step
    of a preprocessed batch, and returns a function of its passes, which gives
    a scalar. What a step costs beyond them is the method's own work. A model
    without it is compared with the plain classifier that it stands in for.

    Args:
        settings (dict): Of a model in a config.

    Returns:
        bool: False where the class does not tell.
    """
    return hasattr(_class_of(settings), 'network_passes')


def takes_unlabelled(model: nn.Module) -> bool:
    """Ask a model whether it trains on images without a label, too.

    Args:
        model (nn.Module): It tells by ``takes_unlabelled`` (bool).

    Returns:
        bool: False where it does not tell.
    """
    return getattr(model, 'takes_unlabelled', False)


def plain_settings(settings: dict) -> dict:
    """Give the settings of the stock module that a module stands in for.

    A registered class tells by the class method ``plain_settings``.

    Args:
        settings (dict): Of a neck or a head in a config.

    Returns:
        dict: ``settings`` themselves where the class does not tell.
    """
    tell = getattr(_class_of(settings), 'plain_settings', None)
    return settings if tell is None else tell(settings)


def takes_map(settings: dict) -> bool:
    """Ask whether a head takes the backbone's map, without a neck.

    A registered class tells by ``takes_map`` (bool); its plain stand-in needs
    a pooling neck.

    Args:
        settings (dict): Of a head in a config.

    Returns:
        bool: False where the class does not tell.
    """
    return getattr(_class_of(settings), 'takes_map', False)


def _class_of(settings: dict) -> type:
    kind = settings['type']
    return MODELS.get(kind) if isinstance(kind, str) else kind


def pooled_map(neck: nn.Module, feats: Sequence[torch.Tensor]) -> torch.Tensor:
    """Ask a neck for the map whose plain mean over positions it returns.

    A neck that does more than average, such as a gate, tells by
    ``pooled_map(feats)``.

    Args:
        neck (nn.Module): One that pools.
        feats (Sequence[Tensor]): The backbone's outputs.

    Returns:
        Tensor: (B, C, h, w); the last output where the neck does not tell.
    """
    tell = getattr(neck, 'pooled_map', None)
    return feats[-1] if tell is None else tell(feats)
