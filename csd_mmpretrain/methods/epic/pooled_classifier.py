"""A classifier read as: feature map, mean over positions, linear layer."""
from functools import partial
from typing import Callable, Optional, Tuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmpretrain.models import ImageClassifier
from mmpretrain.models.heads import (
    ArcFaceClsHead,
    EfficientFormerClsHead,
    LinearClsHead,
    VisionTransformerClsHead,
)
from mmpretrain.models.necks import GlobalAveragePooling
from torch import nn

from csd_mmpretrain.layers.feature_map import to_feature_map
from csd_mmpretrain.utils.protocol import inference_model, pooled_map

FITTING = ('average pooling and one linear layer: GlobalAveragePooling or '
           'SSDPNeck with LinearClsHead, VisionTransformerClsHead without '
           'hidden_dim, EfficientFormerClsHead without distillation, or '
           'ArcFaceClsHead')
# Why a head of mmpretrain is not pooling and one linear layer.
REFUSED = dict(
    StackedLinearClsHead='has several layers between pooling and logits',
    LeViTClsHead='has a batch norm between pooling and logits',
    DeiTClsHead='predicts from class and distillation tokens',
    ConformerHead='adds the logits of two branches',
    VigClsHead='has two layers and an activation after pooling',
    CSRAClsHead='pools by attention',
    MultiLabelClsHead='predicts several labels',
    MultiLabelLinearClsHead='predicts several labels',
    MultiTaskHead='predicts several tasks')


def norm_after_pooling(maps: torch.Tensor,
                       weight: torch.Tensor,
                       bias: torch.Tensor,
                       eps: float = 1e-6) -> torch.Tensor:
    """Bring a LayerNorm of the mean to each position of the map.

    Each position is normalized with mean and variance of the *pooled*
    channels. So the mean of the result is LayerNorm of the mean.

    Args:
        maps (Tensor): (B, D, h, w), floating.
        weight (Tensor): Of the LayerNorm, (D,).
        bias (Tensor): Of the LayerNorm, (D,).
        eps (float): Of the LayerNorm. Defaults to 1e-6.

    Returns:
        Tensor: (B, D, h, w).

    Source: EPIC, for ConvNeXt.
    """
    variance, mean = torch.var_mean(maps.mean((2, 3)), dim=1, correction=0)
    scale = (variance + eps).rsqrt()
    normed = (maps - mean[:, None, None, None]) * scale[:, None, None, None]
    return normed * weight[:, None, None] + bias[:, None, None]


class PooledClassifier:
    """The feature maps of a classifier, and the linear layer on their mean.

    What the classifier does to the map before its mean is part of the map:
    a gate, or a LayerNorm of the mean. ArcFace divides the mean by its
    length; ``weight`` has unit rows times its scale then.

    Args:
        model (BaseModel): A classifier; it stays as it is.

    Attributes:
        layer (nn.Linear): The linear layer of the head.
        weight (Tensor): A, (K, D).
        bias (Tensor): b, (K,).
        cosine (bool): Whether the mean is divided by its length.

    Raises:
        ValueError: If its head, neck or backbone is anything else. The error
            names it.

    Source: EPIC; gates and ArcFace are choices.

    Example:
        ::

            classifier = PooledClassifier(model)
            maps, logits = classifier.read(images)
            same = classifier.logits(maps.mean((2, 3)))
    """

    def __init__(self, model: BaseModel) -> None:
        if not isinstance(model, ImageClassifier) or not model.with_head:
            raise _refusal(type(model).__name__,
                           'is no ImageClassifier with a head')
        self.model = model
        head = inference_model(model.head)
        self.layer = _linear_layer(head)
        self.cosine = isinstance(head, ArcFaceClsHead)
        self.weight = self.layer.weight.detach()
        if self.cosine:
            self.weight = head.scale * F.normalize(self.weight)
        self.bias = self.weight.new_zeros(
            len(self.weight)) if self.layer.bias is None else (
                self.layer.bias.detach())
        self._read = _map_reader(model)

    @torch.no_grad()
    def read(self,
             images: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        """Run the classifier once, and tell its map, too.

        Args:
            images (Tensor): (B, 3, H, W), as the data preprocessor gives
                them.

        Returns:
            tuple[Tensor, Tensor]: Z, (B, D, h, w), whose means over positions
            are the features; and the classifier's own logits, (B, K).

        Raises:
            ValueError: If there is no such map of D channels, or the logits
                are not those of its means.
        """
        model = self.model
        feats, maps = self._read(images)
        if maps.dim() != 4 or maps.size(1) != self.weight.size(1):
            raise _refusal(
                type(model.backbone).__name__,
                f'gives a feature of shape {tuple(maps.shape)}, and no map '
                f"(B, {self.weight.size(1)}, h, w), the head's channels")
        logits = model.head(model.neck(feats) if model.with_neck else feats)
        difference = (self.logits(maps.mean((2, 3))) - logits).abs().max()
        if difference > 1e-3 * logits.abs().max().clamp(min=1):
            raise _refusal(
                type(model).__name__, 'does more between map and logits: '
                f'those of its averaged map differ by up to {difference:.3g}')
        return maps, logits

    def pooled(self, means: torch.Tensor) -> torch.Tensor:
        """Give what the linear layer takes.

        Args:
            means (Tensor): Means of the maps, (B, D); after an orthogonal
                matrix, too.

        Returns:
            Tensor: v, (B, D).
        """
        return F.normalize(means) if self.cosine else means

    def logits(self, means: torch.Tensor) -> torch.Tensor:
        """Compute the logits.

        Args:
            means (Tensor): Means of the maps, (B, D).

        Returns:
            Tensor: w = A v + b, (B, K).
        """
        return F.linear(self.pooled(means), self.weight, self.bias)


def _refusal(name: str, reason: str) -> ValueError:
    return ValueError(f'EPIC cannot explain this classifier: {name} {reason}. '
                      f'It needs {FITTING}.')


def _linear_layer(head: nn.Module) -> nn.Linear:
    """Find the one layer of a head."""
    name = type(head).__name__
    if name in REFUSED:
        raise _refusal(name, REFUSED[name])
    if isinstance(head, ArcFaceClsHead):
        if head.num_subcenters > 1:
            raise _refusal(name, f'takes the largest of {head.num_subcenters} '
                           'subcenters per class, which is not linear')
        return head.norm_product
    if isinstance(head, VisionTransformerClsHead):
        if head.hidden_dim is not None:
            raise _refusal(name, f'has a hidden layer (hidden_dim='
                           f'{head.hidden_dim}) between pooling and logits')
        return head.layers.head
    if isinstance(head, EfficientFormerClsHead):
        if head.dist:
            raise _refusal(name, 'averages two linear layers '
                           '(distillation=True)')
        return head.head
    if isinstance(head, LinearClsHead):
        return head.fc
    raise _refusal(name, 'is a head that EPIC does not know')


def _map_reader(model: ImageClassifier) -> Callable:
    """Find how to read the maps whose means are the features."""
    if not model.with_neck:
        return _before_pooling(model.backbone)
    *first, pooling = (model.neck if isinstance(model.neck, nn.Sequential)
                       else [model.neck])
    name = type(pooling).__name__
    if not (hasattr(pooling, 'pooled_map')
            or isinstance(pooling, GlobalAveragePooling)):
        raise _refusal(name, 'is not average pooling of the last map')

    def read(images: torch.Tensor) -> tuple:
        last = feats = model.extract_feat(images, stage='backbone')
        for step in first:
            last = step(last)
        return feats, pooled_map(pooling, last)

    return read


def _before_pooling(backbone: nn.Module) -> Callable:
    """Read the map of a backbone that pools and then normalizes."""
    name = type(backbone).__name__
    if getattr(backbone, 'gap_before_final_norm', False):
        last = max(backbone.out_indices)
        layer, norm = backbone.stages[last], getattr(backbone, f'norm{last}')
        prefix = None
    elif (getattr(backbone, 'out_type', None) == 'avg_featmap'
          and hasattr(backbone, 'ln2')):
        layer = backbone.ln1 if backbone.final_norm else backbone.layers[-1]
        norm, prefix = backbone.ln2, backbone.num_extra_tokens
    else:
        out = getattr(backbone, 'out_type', None)
        tokens = f" (out_type='{out}')" if out else ''
        raise _refusal(name, f'without a neck{tokens} does not average a map '
                       'over its positions')
    if not isinstance(norm, nn.LayerNorm):
        raise _refusal(name, f'normalizes the mean by {type(norm).__name__}, '
                       'not by a LayerNorm')
    return partial(_hooked_map, backbone, layer, norm, prefix)


def _hooked_map(backbone: nn.Module, layer: nn.Module, norm: nn.LayerNorm,
                prefix: Optional[int], images: torch.Tensor) -> tuple:
    found = []
    handle = layer.register_forward_hook(
        lambda module, inputs, output: found.append(output))
    try:
        feats = backbone(images)
    finally:
        handle.remove()
    maps = found[-1]
    if prefix is not None:
        maps = to_feature_map(maps, 'tokens', prefix)
    return feats, norm_after_pooling(maps, norm.weight, norm.bias, norm.eps)
