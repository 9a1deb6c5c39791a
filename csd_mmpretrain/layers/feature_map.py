"""The last feature map of a backbone: its layouts, and its leading tokens."""
import math
from typing import NamedTuple, Optional, Tuple

import torch
from torch import nn

LAYOUTS = ('nchw', 'nhwc', 'tokens')


class MaskedFeatures(NamedTuple):
    """What a backbone returns for images of which it saw parts only.

    Attributes:
        feats (tuple[Tensor]): The backbone's outputs.
        valid (Tensor): (B, h, w), bool: the positions of the last output that
            count; at least one per image.
    """

    feats: Tuple[torch.Tensor, ...]
    valid: torch.Tensor


def check_layout(owner: str, layout: str, num_prefix_tokens: int) -> None:
    """Raise a ValueError if a layout is unknown or cannot have the tokens."""
    if layout not in LAYOUTS:
        raise ValueError(f'{owner}: unknown layout={layout!r}; choose one of '
                         f'{", ".join(LAYOUTS)}.')
    if num_prefix_tokens < 0 or (num_prefix_tokens and layout != 'tokens'):
        raise ValueError(
            f'{owner}: num_prefix_tokens={num_prefix_tokens} does not fit '
            f"layout='{layout}'; it counts the leading tokens of "
            "layout='tokens' and is 0 otherwise.")


def backbone_prefix_tokens(backbone: Optional[nn.Module]) -> Optional[int]:
    """Count a backbone's class, distillation and register tokens, if known."""
    known = getattr(backbone, 'num_extra_tokens', None)
    timm_model = getattr(backbone, 'timm_model', None)
    return getattr(timm_model, 'num_prefix_tokens', known)


def check_prefix_tokens(owner: str, num_prefix_tokens: int,
                        backbone: nn.Module) -> None:
    """Raise a ValueError if the backbone has another number of tokens."""
    known = backbone_prefix_tokens(backbone)
    if known not in (None, num_prefix_tokens):
        raise ValueError(
            f'{owner}: num_prefix_tokens={num_prefix_tokens}, but the '
            f'backbone, {type(backbone).__name__}, puts {known} tokens before '
            f'its grid. Set num_prefix_tokens={known}.')


def to_feature_map(x: torch.Tensor,
                   layout: str = 'nchw',
                   num_prefix_tokens: int = 0) -> torch.Tensor:
    """Bring a backbone's last feature to (B, C, h, w), without a copy.

    Args:
        x (Tensor): (B, C, h, w) for ``'nchw'``, (B, h, w, C) for ``'nhwc'``,
            (B, num_prefix_tokens + h * w, C) with h = w for ``'tokens'``.
        layout (str): ``'nchw'``, ``'nhwc'`` or ``'tokens'``. Defaults to
            ``'nchw'``.
        num_prefix_tokens (int): Leading tokens (class, distillation,
            register) that are no positions of the grid. Defaults to 0.

    Returns:
        Tensor: A (B, C, h, w) view of ``x``.

    Raises:
        TypeError: If ``x`` is not one tensor.
        ValueError: If its shape does not fit the layout.

    Example:
        >>> import torch
        >>> to_feature_map(torch.rand(2, 5 + 196, 768), 'tokens', 5).shape
        torch.Size([2, 768, 14, 14])
    """
    if not isinstance(x, torch.Tensor):
        raise TypeError(
            "The backbone's last output must be one tensor that holds a "
            f'feature map, but it is a {type(x).__name__}. Use a backbone '
            "with one spatial output; Conformer's pair of branches does not "
            'fit.')
    shape = tuple(x.shape)
    if x.dim() == 2:
        raise ValueError(
            f'The backbone returns a pooled feature of shape {shape}, but a '
            'feature map is needed. Set the option of the backbone that '
            "keeps it: `out_type='featmap'` (VisionTransformer, DeiT3, "
            'ViTEVA02 and other ViTs; with `final_norm=True` for BEiTViT, '
            'which has it off), `gap_before_final_norm=False` (ConvNeXt, '
            "HorNet, EdgeNeXt, TinyViT), `out_type='raw'` with "
            "`layout='tokens'` where there is no 'featmap'.")
    if layout == 'tokens':
        if x.dim() != 3:
            raise ValueError(
                "layout='tokens' expects (B, tokens, C) from the backbone, "
                f"but found shape {shape}. Set the neck's `layout` to "
                "'nchw' or 'nhwc'.")
        grid = x.size(1) - num_prefix_tokens
        side = math.isqrt(max(grid, 0))
        if side == 0 or side * side != grid:
            nearest = x.size(1) - math.isqrt(x.size(1))**2
            hint = (f' ({nearest} would fit a square image)'
                    if nearest > num_prefix_tokens else '')
            raise ValueError(
                f'{x.size(1)} tokens less num_prefix_tokens='
                f'{num_prefix_tokens} leaves {grid}, which is not a square '
                'grid. Set `num_prefix_tokens` to the number of class, '
                f'distillation and register tokens of the backbone{hint}. '
                'Images that are not square need a backbone that returns a '
                "map (`out_type='featmap'`, without layout='tokens').")
        return x[:, num_prefix_tokens:].unflatten(
            1, (side, side)).permute(0, 3, 1, 2)
    if x.dim() != 4:
        raise ValueError(
            f"layout='{layout}' expects a four-dimensional feature map "
            f"from the backbone, but found shape {shape}. Set the neck's "
            "`layout='tokens'` for (B, tokens, C), or the backbone's "
            "option that returns a map (`out_type='featmap'`, "
            '`reshape_last_feat=True` for EfficientFormer).')
    return x if layout == 'nchw' else x.permute(0, 3, 1, 2)


def to_tokens(x: torch.Tensor,
              layout: str = 'nchw',
              num_prefix_tokens: int = 0) -> Tuple[torch.Tensor, torch.Tensor]:
    """Split a backbone's last feature into the image's and its positions'.

    Args:
        x (Tensor): As in :func:`to_feature_map`; tokens of any grid.
        layout (str): As there.
        num_prefix_tokens (int): As there.

    Returns:
        tuple[Tensor, Tensor]: (B, C), the first prefix token (class token),
        or the mean of the positions where there is none; and (B, h * w, C),
        the positions row by row.

    Raises:
        TypeError, ValueError: As :func:`to_feature_map`.

    Example:
        >>> import torch
        >>> image, tokens = to_tokens(torch.rand(2, 8, 7, 7))
        >>> image.shape, tokens.shape
        (torch.Size([2, 8]), torch.Size([2, 49, 8]))
    """
    if layout == 'tokens' and x.dim() == 3:
        tokens = x[:, num_prefix_tokens:]
    else:
        tokens = to_feature_map(x, layout, num_prefix_tokens).flatten(2).mT
    image = x[:, 0] if num_prefix_tokens else tokens.mean(1)
    return image, tokens
