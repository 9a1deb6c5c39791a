"""The number of classes of a model."""
from typing import Any, Optional

from torch import nn

from .unwrap import unwrap


def num_classes_of(model: nn.Module) -> Optional[int]:
    """Look up the number of classes in a model's head.

    Args:
        model (nn.Module): The model, with or without wrappers.

    Returns:
        int, optional: The first ``num_classes`` of its head's parts.
    """
    head = getattr(unwrap(model), 'head', None)
    for module in head.modules() if isinstance(head, nn.Module) else ():
        if isinstance(getattr(module, 'num_classes', None), int):
            return module.num_classes
    return None


def num_classes_in(settings: Any) -> Optional[int]:
    """Look up the number of classes in the settings of a head.

    Args:
        settings (dict): Those of a head, with other heads inside.

    Returns:
        int, optional: The first ``num_classes``, from outside to inside.

    Example:
        >>> num_classes_in(dict(cls_head=dict(num_classes=6)))
        6
    """
    if not isinstance(settings, dict):
        return None
    if isinstance(settings.get('num_classes'), int):
        return settings['num_classes']
    return next(filter(None, map(num_classes_in, settings.values())), None)
