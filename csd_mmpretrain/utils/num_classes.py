"""The number of classes of a model."""
from typing import Optional

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
