"""Looking at a model during its training without a trace."""
import random
from contextlib import contextmanager
from typing import Iterator

import numpy as np
import torch
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
def same_random_states() -> Iterator[None]:
    """Leave the generators of Python, NumPy and torch as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    gpu = torch.cuda.is_available()
    with torch.random.fork_rng([torch.cuda.current_device()] if gpu else []):
        yield
    random.setstate(python)
    np.random.set_state(numpy)
