"""Settings of a hook in a config."""
from mmengine.config import Config

from .type_name import type_name


def hook_settings(cfg: Config, kind: str) -> dict:
    """Find the settings of a hook among the default and custom ones.

    Args:
        cfg (Config): The whole config.
        kind (str): The hook's class, such as ``'SSDPHook'``.

    Returns:
        dict: Those of the first hook of this class; empty without one.
    """
    hooks = [*(cfg.get('default_hooks') or {}).values(),
             *(cfg.get('custom_hooks') or [])]
    return next((hook for hook in filter(None, hooks)
                 if kind == type_name(hook.get('type'))), {})
