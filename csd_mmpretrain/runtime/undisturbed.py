"""Looking at a model during its training without a trace."""
import random
from contextlib import contextmanager
from typing import Iterable, Iterator

import numpy as np
import torch
from mmengine.hooks import EMAHook, Hook
from torch import nn


@contextmanager
def same_modes(model: nn.Module) -> Iterator[None]:
    """Leave each part in training or evaluation mode as it was.

    Args:
        model (nn.Module): The model that is looked at.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def validated_weights(hooks: Iterable[Hook]) -> Iterator[None]:
    """Give the model the weights that a validation would judge.

    Between validations only: around these EMAHook does the same.

    Args:
        hooks (Iterable[Hook]): The hooks of the run. An ``EMAHook`` swaps its
            averages in, and out again, if it has any yet and evaluates them.
    """
    averaging = [
        hook for hook in hooks if isinstance(hook, EMAHook)
        and getattr(hook, 'evaluate_on_ema', True) and hook.ema_model.steps
    ]
    for hook in averaging:
        hook._swap_ema_parameters()
    try:
        yield
    finally:
        for hook in averaging[::-1]:
            hook._swap_ema_parameters()


@contextmanager
def same_random_states() -> Iterator[None]:
    """Leave the generators of Python, NumPy and torch as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    gpu = torch.cuda.is_available()
    with torch.random.fork_rng([torch.cuda.current_device()] if gpu else []):
        yield
    random.setstate(python)
    np.random.set_state(numpy)
