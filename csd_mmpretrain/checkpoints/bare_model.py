"""A config's model, built without fetching its pretrained weights."""
from copy import deepcopy
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from .position_tables import resize_position_tables
from .pretrained import pretrained_cfg


def inner_model(cfg: Config) -> ConfigDict:
    """Find the settings of a config's model, inside test-time augmentation.

    Args:
        cfg (Config): The whole config, also as ``tools/test.py --tta`` saves
            it.

    Returns:
        ConfigDict: The settings themselves, no copy.
    """
    model = cfg.model
    return model.module if isinstance(model.get('module'), dict) else model


def build_bare_model(cfg: Config, keep_pretrained: bool = False) -> BaseModel:
    """Build the model of a config with random weights.

    Args:
        cfg (Config): The whole config; it stays unchanged.
        keep_pretrained (bool): Whether ``init_weights`` is to load pretrained
            weights. Defaults to False.

    Returns:
        BaseModel: The model, with the config's ``data_preprocessor`` and
        without test-time augmentation.

    Example:
        ::

            model = build_bare_model(
                Config.fromfile('configs/csdnet/grocery81.py'))
    """
    settings = deepcopy(inner_model(cfg))
    settings.setdefault('data_preprocessor',
                        deepcopy(cfg.get('data_preprocessor')))
    if not keep_pretrained:
        _drop_pretrained(settings)
    scope = cfg.get('default_scope', 'mmpretrain')
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(settings)
    resize_position_tables(model)
    return model


def _drop_pretrained(cfg: Any) -> None:
    parts = cfg if isinstance(cfg, (list, tuple)) else []
    if isinstance(cfg, dict):
        if pretrained_cfg(cfg.get('init_cfg')):
            cfg.pop('init_cfg')
        if isinstance(cfg.get('pretrained'), (bool, str)):
            cfg['pretrained'] = False
        parts = cfg.values()
    for part in parts:
        _drop_pretrained(part)
