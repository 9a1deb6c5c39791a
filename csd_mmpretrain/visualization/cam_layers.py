"""The layer that a class activation map looks at, and its layout."""
import difflib
import math
from collections import Counter
from functools import partial
from typing import Dict, List, Optional, Sequence, Tuple

import torch
from mmengine.model import BaseModel
from mmengine.utils.dl_utils import is_norm
from torch import nn

from csd_mmpretrain.layers.feature_map import (
    backbone_prefix_tokens,
    to_feature_map,
)


class MapReader:
    """Brings the outputs of any layer to (B, C, h, w), for grad-cam.

    Args:
        model (BaseModel): The classifier.
        image_size (tuple[int, int]): Height and width of the images.
        num_prefix_tokens (int, optional): Leading tokens that are no
            positions. Defaults to None: what the model tells, or as few as
            leave a square.

    Example:
        ::

            GradCAM(model, [layer], MapReader(model, (224, 224)))

    Raises:
        ValueError: When it is called, if an output is no feature map.
    """

    def __init__(self,
                 model: BaseModel,
                 image_size: Tuple[int, int],
                 num_prefix_tokens: Optional[int] = None) -> None:
        neck = getattr(model, 'neck', None)
        self.image_size = image_size
        self.preferred = getattr(neck, 'layout', 'nchw')
        if num_prefix_tokens is None and self.preferred == 'tokens':
            num_prefix_tokens = neck.num_prefix_tokens
        elif num_prefix_tokens is None:
            num_prefix_tokens = backbone_prefix_tokens(model.backbone)
        self.num_prefix_tokens = num_prefix_tokens

    def _layout(self, shape: Sequence[int]) -> Optional[Tuple[str, int]]:
        """Tell layout and leading tokens of a map, or None for no map.

        A map has the proportions of the image, give or take one position.
        """
        if len(shape) == 3:
            prefix = self.num_prefix_tokens
            if prefix is None:
                prefix = _squareless(shape[1])
            grid = shape[1] - prefix
            square = grid > 1 and _squareless(grid) == 0
            return ('tokens', prefix) if square else None
        if len(shape) != 4:
            return None
        height, width = self.image_size

        def misfit(layout: str) -> float:
            """How many positions a map is too high or too wide."""
            h, w = shape[2:] if layout == 'nchw' else shape[1:3]
            if h * w == 1 or h > height or w > width:
                return math.inf
            return abs(h - w * height / width) * min(1, width / height)

        best = min(('nchw', 'nhwc'), key=lambda layout: (
            misfit(layout), layout != self.preferred))
        return (best, 0) if misfit(best) <= 1 else None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        layout = self._layout(x.shape)
        if layout is None:
            note = ''
            if x.dim() == 3 and self.num_prefix_tokens is not None:
                note = (f' with {self.num_prefix_tokens} leading tokens that '
                        'are no positions (`--num-extra-tokens '
                        f'{_squareless(x.size(1))}` would leave a square)')
            raise ValueError(
                f"A target layer's output has shape {tuple(x.shape)}, which "
                'is no feature map of images of size '
                f'{self.image_size[0]} x {self.image_size[1]}{note}. Choose '
                'another layer with `--target-layers`.')
        return to_feature_map(x, *layout)


def _squareless(count: int) -> int:
    return count - math.isqrt(count)**2


def find_target_layer(model: BaseModel,
                      images: torch.Tensor,
                      num_prefix_tokens: Optional[int] = None,
                      tokens_only: bool = False) -> str:
    """Find the last layer whose map the logits depend on.

    Of the backbone's normalizations and blocks, the last one counts whose
    output is a feature map with a gradient at several positions. So a class
    token leads to the normalization before the last attention, where the
    patches still count.

    Args:
        model (BaseModel): A classifier in evaluation mode.
        images (Tensor): (B, 3, H, W), normalized; the first is looked at.
        num_prefix_tokens (int, optional): See :class:`MapReader`.
        tokens_only (bool): Whether only tokens (B, L, C) will do. Defaults
            to False.

    Returns:
        str: Its name, such as ``'backbone.layer4.1'``.

    Raises:
        ValueError: If there is none.

    Source: mmpretrain and grad-cam take the last normalization, and the one
    before the last attention of a ViT; asking the gradient is a choice that
    needs no list of architectures.
    """
    reader = MapReader(model, tuple(images.shape[-2:]), num_prefix_tokens)
    logits, outputs = _trace(model, images[:1])
    outputs = {
        name: x for name, x in outputs.items()
        if reader._layout(x.shape) and (x.dim() == 3 or not tokens_only)
    }
    gradients = torch.autograd.grad(
        logits.max(), list(outputs.values()),
        allow_unused=True) if outputs else []
    for x, gradient in reversed(list(zip(outputs.values(), gradients))):
        if gradient is not None and reader(gradient).any(1).sum() > 1:
            # The innermost of those that give this very tensor.
            return next(inner for inner in outputs if outputs[inner] is x)
    raise ValueError(
        f'{type(model.backbone).__name__}: the logits depend on no feature '
        f'map {"of tokens " if tokens_only else ""}of its normalizations and '
        'blocks. Name a layer with `--target-layers`; `--preview-model` '
        'shows them.')


def _trace(
        model: BaseModel, images: torch.Tensor
) -> Tuple[torch.Tensor, Dict[str, torch.Tensor]]:
    """Run the model; return the logits, and the layers' outputs in order."""
    outputs, calls = {}, Counter()

    def keep(name: str, _, __, output) -> None:
        calls[name] += 1
        if isinstance(output, torch.Tensor) and output.requires_grad:
            outputs[name] = (output, output._version)

    handles = [
        layer.register_forward_hook(partial(keep, name))
        for name, layer in model.backbone.named_modules(prefix='backbone')
        if is_norm(layer) or next(layer.children(), None) is not None
    ]
    try:
        with torch.enable_grad():
            logits = model(images.detach().requires_grad_())
    finally:
        for handle in handles:
            handle.remove()
    # An output that a later layer overwrites is not what it was; of a layer
    # that runs twice, grad-cam could not tell the outputs apart.
    return logits, {
        name: output
        for name, (output, version) in outputs.items()
        if output._version == version and calls[name] == 1
        and output.size(0) == len(images)
    }


def get_layers(model: nn.Module, names: Sequence[str]) -> List[nn.Module]:
    """Look up layers by name.

    Args:
        model (nn.Module): The model.
        names (Sequence[str]): Such as ``'backbone.layer4'``.

    Returns:
        list[nn.Module]: The layers.

    Raises:
        ValueError: If there is no such layer.
    """
    layers = dict(model.named_modules())
    for name in names:
        if name not in layers:
            close = difflib.get_close_matches(name, layers, 3, 0.5)
            like = f' Close to it: {", ".join(close)}.' if close else ''
            raise ValueError(f'--target-layers: the model has no layer '
                             f'{name!r}.{like} `--preview-model` shows all.')
    return [layers[name] for name in names]
