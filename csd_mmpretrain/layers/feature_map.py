"""One shape for the last feature map of every backbone."""
import math
from typing import Tuple

import torch

LAYOUTS = ('nchw', 'nhwc', 'tokens')


def check_layout(owner: str, layout: str, num_prefix_tokens: int) -> None:
    """Refuse a layout that is unknown, or leading tokens that it has not.

    Args:
        owner (str): The class to name in the message.
        layout (str): ``'nchw'``, ``'nhwc'`` or ``'tokens'``.
        num_prefix_tokens (int): 0 but for ``'tokens'``.

    Raises:
        ValueError: If they do not fit.
    """
    if layout not in LAYOUTS:
        raise ValueError(f'{owner}: unknown layout={layout!r}; choose one of '
                         f'{", ".join(LAYOUTS)}.')
    if num_prefix_tokens < 0 or (num_prefix_tokens and layout != 'tokens'):
        raise ValueError(
            f'{owner}: num_prefix_tokens={num_prefix_tokens} does not fit '
            f"layout='{layout}'; it counts the leading tokens of "
            "layout='tokens' and is 0 otherwise.")


def to_feature_map(x: torch.Tensor,
                   layout: str = 'nchw',
                   num_prefix_tokens: int = 0) -> torch.Tensor:
    """Bring a backbone's last feature to (B, C, h, w), without a copy.

    Args:
        x (Tensor): (B, C, h, w) for ``'nchw'``, (B, h, w, C) for ``'nhwc'``,
            (B, num_prefix_tokens + h * w, C) with h = w for ``'tokens'``.
        layout (str): ``'nchw'``, ``'nhwc'`` or ``'tokens'``. Defaults to
            ``'nchw'``.
        num_prefix_tokens (int): How many leading tokens (class, distillation,
            register) do not belong to the grid. Defaults to 0.

    Returns:
        Tensor: A (B, C, h, w) view of ``x``.

    Raises:
        TypeError: If ``x`` is not one tensor.
        ValueError: If ``x`` has no spatial positions, or not the shape that
            the layout names.

    Example:
        >>> import torch
        >>> to_feature_map(torch.rand(2, 5 + 196, 768), 'tokens', 5).shape
        torch.Size([2, 768, 14, 14])
    """
    if not isinstance(x, torch.Tensor):
        raise TypeError(
            "The backbone's last output must be one tensor that holds a "
            f'feature map, but it is a {type(x).__name__}. Use a backbone '
            "with one spatial output (Conformer's pair of branches does not "
            'fit), or set its `out_type` to a feature map.')
    shape = tuple(x.shape)
    if x.dim() == 2:
        raise ValueError(
            f'The backbone returns a pooled feature of shape {shape}, but a '
            'feature map is needed. Set the option of the backbone that '
            "keeps it: `out_type='featmap'` (VisionTransformer, DeiT3, "
            'EVA02 and other ViTs; with `final_norm=True` for BEiT, which '
            'has it off), `gap_before_final_norm=False` (ConvNeXt), '
            "`out_type='raw'` with `layout='tokens'` where there is no "
            "'featmap'.")
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
        x (Tensor): As in :func:`to_feature_map`, but tokens need no square
            grid.
        layout (str): As there. Defaults to ``'nchw'``.
        num_prefix_tokens (int): As there. Defaults to 0.

    Returns:
        tuple[Tensor, Tensor]: (B, C), the first prefix token (class token),
        or the mean over the positions where there is none; and (B, h * w,
        C), the positions row by row.

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
        positions = to_feature_map(x, layout, num_prefix_tokens)
        tokens = positions.flatten(2).transpose(1, 2)
    image = x[:, 0] if num_prefix_tokens else tokens.mean(1)
    return image, tokens
