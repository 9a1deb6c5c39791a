"""Weights that are nan or infinite."""
from typing import Any, List, Mapping, Optional

import torch
from torch import nn


def broken_weights(model: nn.Module,
                   state: Optional[Mapping[str, Any]] = None) -> List[str]:
    """Find parameters and running statistics that are not finite.

    Other buffers are left out: masks may well be infinite.

    Args:
        model (nn.Module): The model.
        state (Mapping[str, Any], optional): Weights to look at by the
            model's names. Defaults to None, those of the model.

    Returns:
        list[str]: Their names.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> layer.bias.data[0] = float('nan')
        >>> broken_weights(layer)
        ['bias']
    """
    buffers = dict(model.named_buffers())
    if state is None:
        state = {**dict(model.named_parameters()), **buffers}
    return [
        name for name, value in state.items()
        if isinstance(value, torch.Tensor)
        and (name not in buffers or 'running_' in name)
        and not value.isfinite().all()
    ]
