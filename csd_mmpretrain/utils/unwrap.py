"""A model without its wrappers."""
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn


def unwrap(model: nn.Module) -> nn.Module:
    """Take a model out of its wrappers.

    Args:
        model (nn.Module): In DDP, FSDP or a ``BaseTTAModel``, or bare.

    Returns:
        nn.Module: The model that mmengine loads a checkpoint into.
    """
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
