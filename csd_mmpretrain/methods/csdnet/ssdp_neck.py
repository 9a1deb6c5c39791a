"""SSDP: pattern map, gate and pooling of the last feature map."""
from typing import Dict, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import nn

from csd_mmpretrain.layers.feature_map import (
    MaskedFeatures,
    check_layout,
    to_feature_map,
)

KERNELS = ('gap', 'cosine', 'conv')
GATINGS = ('multiply', 'standardised', 'residual', 'none')


def _weighted_mean(x: torch.Tensor,
                  weights: Optional[torch.Tensor] = None,
                  valid: Optional[torch.Tensor] = None) -> torch.Tensor:
    """Average (B, C, h, w) over the valid positions, weighted: (B, C)."""
    if valid is None:
        if weights is None:
            return x.mean(dim=(2, 3))
        positions = weights[0].numel()
    else:
        positions = valid.sum(dim=(1, 2))[:, None]
        weights = valid.to(x) if weights is None else weights * valid
    return torch.einsum('bchw,bhw->bc', x, weights) / positions


def content_pattern(x: torch.Tensor,
                    kernel: str = 'gap',
                    valid: Optional[torch.Tensor] = None) -> torch.Tensor:
    r"""Correlate a feature map with the kernel made of its own content.

    With :math:`k` the mean of :math:`X` over its positions,

    - ``'gap'``: :math:`P_{ij} = \langle k, X_{ij} \rangle / C`
    - ``'cosine'``: the same of unit vectors,
      :math:`P_{ij} = \cos(k, X_{ij})`

    Args:
        x (Tensor): (B, C, h, w), floating.
        kernel (str): ``'gap'`` or ``'cosine'``. Defaults to ``'gap'``.
        valid (Tensor, optional): (B, h, w), bool, the positions that make
            the kernel. Defaults to None, all.

    Returns:
        Tensor: The pattern map, (B, h, w).

    Source: the paper names a content-aware kernel; both forms are choices.
    """
    content = _weighted_mean(x, valid=valid)
    if kernel == 'cosine':
        return torch.einsum('bc,bchw->bhw', F.normalize(content, dim=1),
                            F.normalize(x, dim=1))
    return torch.einsum('bc,bchw->bhw', content, x) / x.size(1)


def gate_weights(pattern: torch.Tensor,
                 gating: str = 'multiply',
                 valid: Optional[torch.Tensor] = None) -> torch.Tensor:
    r"""Turn a pattern map into the weight of each position.

    - ``'multiply'``: :math:`\sigma(P)`, the paper's
    - ``'standardised'``: :math:`\sigma((P - \mu) / s)`, with the mean and
      deviation of each image's map
    - ``'residual'``: :math:`1 + \sigma(P)`
    - ``'none'``: 1

    Args:
        pattern (Tensor): (B, h, w), floating.
        gating (str): One of the above. Defaults to ``'multiply'``.
        valid (Tensor, optional): (B, h, w), bool, the positions whose mean
            and deviation count. Defaults to None, all.

    Returns:
        Tensor: (B, h, w), the factor of all channels at each position.

    Source: the paper applies sigmoid(P) to X; how is a choice.
    """
    if gating == 'none':
        return torch.ones_like(pattern)
    if gating == 'standardised':
        pattern = _standardise(pattern, valid)
    weights = pattern.sigmoid()
    return 1 + weights if gating == 'residual' else weights


def _standardise(pattern: torch.Tensor,
                 valid: Optional[torch.Tensor]) -> torch.Tensor:
    if valid is None:
        return F.layer_norm(pattern, pattern.shape[1:])
    mean = _weighted_mean(pattern[:, None], valid=valid)
    centered = pattern - mean[..., None]
    variance = _weighted_mean(centered.square()[:, None], valid=valid)
    return centered * (variance[..., None] + 1e-5).rsqrt()


def _is_autocast(device_type: str) -> bool:
    try:
        return torch.is_autocast_enabled(device_type)
    except TypeError:  # before torch 2.4
        return (torch.is_autocast_cpu_enabled() if device_type == 'cpu' else
                torch.is_autocast_enabled())


@MODELS.register_module()
class SSDPNeck(BaseModule):
    """Pattern map, gate and global average pooling of the last feature map.

    It replaces ``GlobalAveragePooling``: the feature is the mean of
    X * sigmoid(P) over the positions. ``SSDPHook`` takes P from it to make
    the second view. Everything is computed in float32, also under autocast.

    Args:
        in_channels (int): Channels C of the backbone's last feature map.
        kernel (str): What P is correlated with: ``'gap'``, ``'cosine'``
            (see :func:`content_pattern`) or ``'conv'`` (a learned 1x1
            convolution to one channel). Defaults to ``'gap'``.
        gating (str): ``'multiply'``, ``'standardised'``, ``'residual'`` or
            ``'none'``, see :func:`gate_weights`. Defaults to ``'multiply'``.
        layout (str): What the backbone returns: ``'nchw'``, ``'nhwc'`` or
            ``'tokens'``. Defaults to ``'nchw'``.
        num_prefix_tokens (int): With ``'tokens'``, the leading tokens that
            are no positions. Defaults to 0.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        ValueError: For an unknown option, or ``gating='none'`` with
            ``kernel='conv'``, whose kernel would get no gradient.

    Source: SSDP of the paper; kernels and the extra gatings are choices.

    Example:
        A ViT of timm with a class token and four registers::

            neck=dict(type='SSDPNeck', in_channels=768,
                      layout='tokens', num_prefix_tokens=5)
    """

    takes_masked_features = True

    def __init__(self,
                 in_channels: int,
                 kernel: str = 'gap',
                 gating: str = 'multiply',
                 layout: str = 'nchw',
                 num_prefix_tokens: int = 0,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        for name, value, known in (('kernel', kernel, KERNELS),
                                   ('gating', gating, GATINGS)):
            if value not in known:
                raise ValueError(f'SSDPNeck: unknown {name}={value!r}; '
                                 f'choose one of {", ".join(known)}.')
        if kernel == 'conv' and gating == 'none':
            raise ValueError(
                "SSDPNeck: gating='none' leaves the learned kernel of "
                "kernel='conv' without a gradient. Use another gating, or "
                "kernel='gap' or 'cosine'.")
        check_layout('SSDPNeck', layout, num_prefix_tokens)
        self.in_channels = in_channels
        self.kernel = kernel
        self.gating = gating
        self.layout = layout
        self.num_prefix_tokens = num_prefix_tokens
        if kernel == 'conv':
            self.conv = nn.Conv2d(in_channels, 1, 1)

    @classmethod
    def plain_settings(cls, settings: dict) -> dict:
        """Give the settings of plain average pooling in its place."""
        if settings.get('layout', 'nchw') == 'nchw':
            return dict(type='GlobalAveragePooling')
        # mmpretrain has no average pooling of these layouts.
        return dict(settings, gating='none', kernel='gap')

    def describe(self) -> Dict[str, str]:
        """Name kernel and gating, for the run's header."""
        return {'pattern map': f'kernel {self.kernel}, gating {self.gating}'}

    def feature_map(self, feats: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the last feature as one checked map.

        Args:
            feats (Sequence[Tensor]): The backbone's outputs; the last counts.

        Returns:
            Tensor: (B, C, h, w), in the backbone's dtype.

        Raises:
            TypeError, ValueError: If it is no feature map of ``in_channels``
                channels in this layout.
        """
        last = feats[-1] if isinstance(feats, (tuple, list)) else feats
        x = to_feature_map(last, self.layout, self.num_prefix_tokens)
        if x.size(1) != self.in_channels:
            raise ValueError(
                f'SSDPNeck: in_channels={self.in_channels}, but the '
                f"backbone's last output of shape {tuple(last.shape)} has "
                f"{x.size(1)} channels in layout='{self.layout}'. Set "
                "`in_channels` (here and in the head) and `feat_dim` to the "
                "backbone's channels, or correct `layout`.")
        return x

    def pattern_map(self, feats: Sequence[torch.Tensor]) -> torch.Tensor:
        """Compute the pattern map P of the last feature.

        Args:
            feats (Sequence[Tensor]): The backbone's outputs.

        Returns:
            Tensor: (B, h, w), float32.
        """
        x = self.feature_map(feats)
        with torch.autocast(x.device.type, enabled=False):
            return self._pattern(x.float())

    def forward(
        self, feats: Union[Sequence[torch.Tensor], MaskedFeatures]
    ) -> Tuple[torch.Tensor]:
        """Gate and pool the last feature.

        Args:
            feats (Sequence[Tensor] | MaskedFeatures): The backbone's outputs.
                Of masked ones the valid positions alone make the pattern
                map, its gate and the mean.

        Returns:
            tuple[Tensor]: One (B, C) feature: float32 in mixed precision, else
            in the backbone's dtype. It is computed in float32.
        """
        valid = None
        if isinstance(feats, MaskedFeatures):
            feats, valid = feats
        x = self.feature_map(feats)
        dtype = torch.float32 if _is_autocast(x.device.type) else x.dtype
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            pattern = self._pattern(x, valid)
            weights = gate_weights(pattern, self.gating, valid)
            return (_weighted_mean(x, weights, valid).to(dtype), )

    def pooled_map(self, feats: Sequence[torch.Tensor]) -> torch.Tensor:
        """Give the gated map, whose mean is the feature.

        Args:
            feats (Sequence[Tensor]): The backbone's outputs.

        Returns:
            Tensor: X times its gate, (B, C, h, w), float32.
        """
        x = self.feature_map(feats)
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            return x * gate_weights(self._pattern(x), self.gating)[:, None]

    def _pattern(self,
                 x: torch.Tensor,
                 valid: Optional[torch.Tensor] = None) -> torch.Tensor:
        if self.kernel == 'conv':
            return F.conv2d(x, self.conv.weight.float(),
                            self.conv.bias.float()).squeeze(1)
        return content_pattern(x, self.kernel, valid)
