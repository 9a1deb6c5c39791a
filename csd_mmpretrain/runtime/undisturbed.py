"""Evaluating a model during its training without side effects."""
import random
from contextlib import contextmanager
from typing import Iterable, Iterator

import numpy as np
import torch
from mmengine.hooks import EMAHook, Hook
from torch import nn


@contextmanager
def same_modes(model: nn.Module) -> Iterator[None]:
    """Restore the training or evaluation mode of each module at the end.

    Args:
        model (nn.Module): The model.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def validated_weights(hooks: Iterable[Hook]) -> Iterator[None]:
    """Use the weights that a validation would evaluate.

    Not around a validation, where EMAHook swaps them itself.

    Args:
        hooks (Iterable[Hook]): Of the run. An ``EMAHook`` that evaluates its
            averages swaps them in, and out again.
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
    """Restore the random states of Python, NumPy and torch at the end."""
    python, numpy = random.getstate(), np.random.get_state()
    gpu = torch.cuda.is_available()
    with torch.random.fork_rng([torch.cuda.current_device()] if gpu else []):
        yield
    random.setstate(python)
    np.random.set_state(numpy)
