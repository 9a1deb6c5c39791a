"""The layer that a class activation map looks at, and its layout."""
import difflib
import math
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from mmengine.model import BaseModel
from mmengine.utils.dl_utils import is_norm
from torch import nn

from csd_mmpretrain.layers.feature_map import to_feature_map
from csd_mmpretrain.layers.prefix_tokens import backbone_prefix_tokens


class Layout(NamedTuple):
    """How the positions of an image lie in a tensor.

    Attributes:
        name (str): ``'nchw'``, ``'nhwc'`` or ``'tokens'``.
        num_prefix_tokens (int): Leading tokens that are no positions.
    """

    name: str
    num_prefix_tokens: int = 0


def find_layout(shape: Sequence[int],
                image_size: Tuple[int, int],
                num_prefix_tokens: Optional[int] = None,
                preferred: str = 'nchw') -> Optional[Layout]:
    """Tell the layout of a feature map by its shape.

    The map has the proportions of the image, give or take one position.

    Args:
        shape (Sequence[int]): Of the tensor, with the batch.
        image_size (tuple[int, int]): Height and width of the image.
        num_prefix_tokens (int, optional): What is known of tokens. Defaults
            to None: as few as leave a square.
        preferred (str): ``'nchw'`` or ``'nhwc'``, where the shape fits both.
            Defaults to ``'nchw'``.

    Returns:
        Layout, optional: None, if it is no feature map of several positions.

    Example:
        >>> find_layout((2, 201, 384), (224, 224))
        Layout(name='tokens', num_prefix_tokens=5)
        >>> find_layout((2, 7, 7, 768), (224, 224))
        Layout(name='nhwc', num_prefix_tokens=0)
    """
    if len(shape) == 3:
        prefix = num_prefix_tokens
        if prefix is None:
            prefix = shape[1] - math.isqrt(shape[1])**2
        grid = shape[1] - prefix
        square = grid > 1 and math.isqrt(grid)**2 == grid
        return Layout('tokens', prefix) if square else None
    if len(shape) != 4:
        return None
    order = ('nhwc', 'nchw') if preferred == 'nhwc' else ('nchw', 'nhwc')
    misfits = {name: _misfit(_positions(shape, name), image_size)
               for name in order}
    best = min(order, key=misfits.get)
    return Layout(best) if misfits[best] <= 1 else None


def _positions(shape: Sequence[int], layout: str) -> Tuple[int, int]:
    return tuple(shape[2:4] if layout == 'nchw' else shape[1:3])


def _misfit(positions: Tuple[int, int], image_size: Tuple[int,
                                                          int]) -> float:
    """How many positions a map is too high or too wide."""
    (h, w), (height, width) = positions, image_size
    if h * w == 1 or h > height or w > width:
        return math.inf
    return abs(h - w * height / width) * min(1, width / height)


def known_prefix_tokens(model: BaseModel) -> Optional[int]:
    """Look up how many class, distillation and register tokens there are.

    Args:
        model (BaseModel): With a backbone of mmpretrain or of timm.

    Returns:
        int, optional: None, if neither neck nor backbone tell.
    """
    neck = getattr(model, 'neck', None)
    if getattr(neck, 'layout', None) == 'tokens':
        return neck.num_prefix_tokens
    return backbone_prefix_tokens(model.backbone)


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
    """

    def __init__(self,
                 model: BaseModel,
                 image_size: Tuple[int, int],
                 num_prefix_tokens: Optional[int] = None) -> None:
        if num_prefix_tokens is None:
            num_prefix_tokens = known_prefix_tokens(model)
        self.image_size = image_size
        self.num_prefix_tokens = num_prefix_tokens
        self.preferred = getattr(getattr(model, 'neck', None), 'layout',
                                 'nchw')

    def layout(self, x: torch.Tensor) -> Optional[Layout]:
        """Tell the layout of a layer's output.

        Args:
            x (Tensor): The output.

        Returns:
            Layout, optional: None, if it is no feature map.
        """
        return find_layout(x.shape, self.image_size, self.num_prefix_tokens,
                           self.preferred)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Bring a layer's output, or its gradient, to (B, C, h, w).

        Args:
            x (Tensor): The output.

        Returns:
            Tensor: A view of it.

        Raises:
            ValueError: If it is no feature map.
        """
        layout = self.layout(x)
        if layout is None:
            raise ValueError(
                f"A target layer's output has shape {tuple(x.shape)}, which "
                'is no feature map of images of size '
                f'{self.image_size[0]} x {self.image_size[1]}'
                f'{self._prefix_note(x)}. Choose another layer with '
                '`--target-layers`.')
        return to_feature_map(x, *layout)

    def _prefix_note(self, x: torch.Tensor) -> str:
        if x.dim() != 3 or self.num_prefix_tokens is None:
            return ''
        fitting = x.size(1) - math.isqrt(x.size(1))**2
        return (f' with {self.num_prefix_tokens} leading tokens that are no '
                f'positions (`--num-extra-tokens {fitting}` would leave a '
                'square)')


def find_target_layer(model: BaseModel,
                      images: torch.Tensor,
                      reader: MapReader,
                      tokens_only: bool = False) -> str:
    """Find the last layer whose map the logits see.

    Looked at are the backbone's normalisations and blocks, from the last to
    the first that runs: the first one counts whose output is a feature map
    with a gradient at several positions. So a class token leads to the
    normalisation before the last attention, where the patches still count.

    Args:
        model (BaseModel): A classifier in evaluation mode.
        images (Tensor): (B, 3, H, W), normalised; the first is looked at.
        reader (MapReader): Knows the layouts.
        tokens_only (bool): Whether only tokens (B, L, C) will do. Defaults
            to False.

    Returns:
        str: Its name, such as ``'backbone.layer4.1'``.

    Raises:
        ValueError: If there is none.

    Source: mmpretrain and grad-cam take the last normalisation, and the one
    before the last attention of a ViT; asking the gradient is a choice that
    needs no list of architectures.
    """
    outputs = _trace(model, images[:1])
    names = [
        name for name, x in outputs.items()
        if name and reader.layout(x) is not None
        and (x.dim() == 3 or not tokens_only)
    ]
    with torch.enable_grad():
        logits = outputs['']
        gradients = torch.autograd.grad(
            logits.max(), [outputs[name] for name in names],
            allow_unused=True) if names else []
    for name, gradient in reversed(list(zip(names, gradients))):
        if gradient is not None:
            seen = reader(gradient).ne(0).any(1)
            if seen.sum() > 1:
                # The innermost of those that give this very tensor.
                return next(inner for inner in names
                            if outputs[inner] is outputs[name])
    raise ValueError(
        f'{type(model.backbone).__name__}: the logits depend on no feature '
        f'map {"of tokens " if tokens_only else ""}of its normalisations and '
        'blocks. Name a layer with `--target-layers`; `--preview-model` '
        'shows them.')


def _trace(model: BaseModel, images: torch.Tensor) -> Dict[str, torch.Tensor]:
    """Run the model; outputs in their order, and the logits as ''."""
    outputs, calls, handles = {}, {}, []

    def watch(name: str, layer: nn.Module) -> None:

        def keep(_, __, output) -> None:
            calls[name] = calls.get(name, 0) + 1
            if isinstance(output, torch.Tensor) and output.requires_grad:
                outputs[name] = (output, output._version)

        handles.append(layer.register_forward_hook(keep))

    for name, layer in model.backbone.named_modules(prefix='backbone'):
        if is_norm(layer) or next(layer.children(), None) is not None:
            watch(name, layer)
    try:
        with torch.enable_grad():
            logits = model(images.detach().requires_grad_())
    finally:
        for handle in handles:
            handle.remove()
    # An output that a later layer overwrites is not what it was; of a layer
    # that runs twice, grad-cam could not tell the outputs apart.
    kept = {
        name: output
        for name, (output, version) in outputs.items()
        if output._version == version and calls[name] == 1
        and output.size(0) == len(images)
    }
    return dict(kept, **{'': logits})


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
