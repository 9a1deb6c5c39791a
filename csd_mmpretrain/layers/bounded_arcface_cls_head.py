"""ArcFace whose gradient is finite for any feature."""
from typing import Any

import torch
from mmpretrain.models.heads import ArcFaceClsHead
from mmpretrain.registry import MODELS
from torch import nn


@MODELS.register_module()
class BoundedArcFaceClsHead(ArcFaceClsHead):
    """ArcFace with cosines that stay one rounding step within -1 and 1.

    The gradient of an angle is infinite at a cosine of -1 or 1, where a
    feature lies along a class weight (imprinted weights) or against it, and
    the angle beyond is nan. Everywhere else it equals ``ArcFaceClsHead`` bit
    for bit, and it takes the same arguments and checkpoints.

    Args:
        *args: See ``ArcFaceClsHead``.
        **kwargs: See ``ArcFaceClsHead``.

    Source: Deng et al. 2019, ArcFace; the bound is a choice.

    Example:
        >>> head = BoundedArcFaceClsHead(
        ...     num_classes=80, in_channels=1024, scale=16.0, margins=0.2)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.norm_product.register_forward_hook(_bound)


def _bound(module: nn.Module, args: tuple,
           cosine: torch.Tensor) -> torch.Tensor:
    limit = 1 - torch.finfo(cosine.dtype).eps
    return cosine.clamp(-limit, limit)
