"""A config's model, built without fetching its pretrained weights."""
from copy import deepcopy
from typing import Any

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from .pretrained import pretrained_cfg


def build_bare_model(cfg: Config) -> BaseModel:
    """Build the model of a config with random weights.

    Args:
        cfg (Config): The whole config; it is left as it is.

    Returns:
        BaseModel: The model, with the config's ``data_preprocessor``.

    Example:
        ::

            model = build_bare_model(
                Config.fromfile('configs/csdnet/grocery81.py'))
    """
    model = without_pretrained(deepcopy(cfg.model))
    model.setdefault('data_preprocessor',
                     deepcopy(cfg.get('data_preprocessor')))
    scope = cfg.get('default_scope', 'mmpretrain')
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(model)


def without_pretrained(cfg: Any) -> Any:
    """Drop every mention of pretrained weights from a model's config.

    Args:
        cfg (Any): The config, or a part of it; changed in place.

    Returns:
        Any: The same object.
    """
    parts = cfg if isinstance(cfg, (list, tuple)) else []
    if isinstance(cfg, dict):
        if pretrained_cfg(cfg.get('init_cfg')):
            cfg.pop('init_cfg')
        if isinstance(cfg.get('pretrained'), (bool, str)):
            cfg['pretrained'] = False
        parts = cfg.values()
    for part in parts:
        without_pretrained(part)
    return cfg
