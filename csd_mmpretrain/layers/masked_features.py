"""Feature maps of which some positions hold nothing."""
from typing import NamedTuple, Tuple

import torch


class MaskedFeatures(NamedTuple):
    """What a backbone returns for images of which it saw parts only.

    Attributes:
        feats (tuple[Tensor]): The backbone's outputs.
        valid (Tensor): (B, h, w), bool: the positions of the last output that
            count; at least one of each image.

    Source: choice.

    Example:
        ::

            pooled, = neck(MaskedFeatures((x, ), valid))
    """

    feats: Tuple[torch.Tensor, ...]
    valid: torch.Tensor
