"""The weight of each patch in its bag."""
import math
from abc import ABCMeta, abstractmethod
from typing import Optional

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import nn


class BagAggregator(BaseModule, metaclass=ABCMeta):
    """Weights of the instances of a bag; a new idea is a new subclass.

    Args:
        init_cfg (dict, optional): Initialization config. Defaults to None.
    """

    @abstractmethod
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Weigh the tokens of each bag.

        Args:
            tokens (Tensor): (..., N, C), backbone features.

        Returns:
            Tensor: (..., N), float32, the logarithm of weights that sum to
            1.
        """


@MODELS.register_module()
class MeanBag(BagAggregator):
    """All tokens have the same weight.

    Source: choice.

    Example:
        >>> import torch
        >>> MeanBag()(torch.rand(2, 4, 8)).exp()[0]
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.new_full(
            tokens.shape[:-1], -math.log(tokens.size(-2)), dtype=torch.float32)


@MODELS.register_module()
class GatedAttentionBag(BagAggregator):
    r"""Weights by gated attention.

    .. math::
        a = \mathrm{softmax}_n\big(w^T (\tanh(V x_n) \odot \sigma(U x_n))\big)

    Args:
        in_channels (int): Channels C of the backbone's features.
        hidden_channels (int): Rows of V and U. Defaults to 128.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Source: Ilse et al. 2018, equation 9.

    Example:
        >>> import torch
        >>> weights = GatedAttentionBag(8)(torch.rand(2, 4, 8)).exp()
        >>> torch.allclose(weights.sum(-1), torch.ones(2))
        True
    """

    def __init__(self,
                 in_channels: int,
                 hidden_channels: int = 128,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.content = nn.Linear(in_channels, hidden_channels)
        self.gate = nn.Linear(in_channels, hidden_channels)
        self.score = nn.Linear(hidden_channels, 1, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        scores = self.score(
            self.content(tokens).tanh() * self.gate(tokens).sigmoid())
        return scores.squeeze(-1).float().log_softmax(-1)
