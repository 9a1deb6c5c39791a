"""Settings of a hook in a config."""
from mmengine.config import Config

from .type_name import type_name


def hook_settings(cfg: Config, kind: str) -> dict:
    """Find the settings of a hook, be it a default or a custom one.

    Args:
        cfg (Config): The whole config.
        kind (str): The hook's class, such as ``'SSDPHook'``.

    Returns:
        dict: Those of the first hook of this class; empty without one.

    Example:
        >>> from mmengine.config import Config
        >>> cfg = Config(dict(custom_hooks=[dict(type='EMAHook', beta=1)]))
        >>> hook_settings(cfg, 'EMAHook').beta
        1
    """
    hooks = [*(cfg.get('default_hooks') or {}).values(),
             *(cfg.get('custom_hooks') or [])]
    for hook in filter(None, hooks):
        if kind == type_name(hook.get('type')):
            return hook
    return {}
