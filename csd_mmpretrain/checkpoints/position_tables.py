"""Tables of relative positions, of checkpoints with another window size."""
from math import isqrt, prod

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import nn

TABLE = 'relative_position_bias_table'


def resize_position_tables(model: nn.Module) -> None:
    """Let Swin and BEiT backbones load weights of another window size.

    mmpretrain resizes their tables of relative positions, too, but by a
    function that scipy has no longer (since 1.14). Here a backbone's tables
    fit before it looks at them, so that it has nothing to resize.

    Args:
        model (nn.Module): Its backbones may be anywhere in it.

    Source: the bicubic interpolation of Swin's own fine-tuning (Liu et al.
    2021).

    Example:
        ::

            resize_position_tables(model)
            model.load_state_dict(weights_of_another_window_size)
    """
    for backbone in model.modules():
        if hasattr(backbone, f'_prepare_{TABLE}'):
            handle = backbone._register_load_state_dict_pre_hook(
                _resize, with_module=True)
            backbone._load_state_dict_pre_hooks.move_to_end(
                handle.id, last=False)  # before the backbone's own


def _resize(backbone: nn.Module, state_dict: dict, prefix: str, *_) -> None:
    layers = {f'{prefix}{name}.{TABLE}': layer
              for name, layer in backbone.named_modules()
              if getattr(layer, TABLE, None) is not None}
    for key in [key for key in state_dict if key.endswith(TABLE)]:
        # A table that BEiT's pre-training shares has no layer of its own.
        layer = layers.get(key)
        if layer is None:
            if key != f'rel_pos_bias.{TABLE}' or not layers:
                continue
            layer = next(iter(layers.values()))
        size = [2 * side - 1 for side in layer.window_size]
        own = getattr(layer, TABLE)
        if len(state_dict[key]) == len(own):
            continue
        print_log(f'{key}: resized for a window of '
                  f'{" x ".join(map(str, layer.window_size))}', 'current')
        state_dict[key] = resize_position_table(
            state_dict[key], size, len(own) - prod(size))
        index = key.replace('bias_table', 'index')
        if index in state_dict:
            state_dict[index] = layer.relative_position_index


def resize_position_table(table: torch.Tensor, size: list,
                          extra: int) -> torch.Tensor:
    """Resize a table of relative positions.

    Args:
        table (Tensor): (h * w + extra, heads) with h = w.
        size (list[int]): The new h and w.
        extra (int): Rows at the end that are no positions; they are kept.

    Returns:
        Tensor: (h * w + extra, heads), of the new h and w.

    Raises:
        ValueError: If the table has no square grid.
    """
    rows = len(table) - extra
    side = isqrt(rows)
    if side * side != rows:
        raise ValueError(
            f'A table of relative positions has {len(table)} rows, {extra} of '
            'them for other tokens, so it is of a window that is not square, '
            f'and cannot be resized to {size[0]} x {size[1]}. Use the '
            'window size, or the image size, that the weights were trained '
            'with.')
    grid = table[:rows].T.unflatten(1, (side, side))[None].float()
    grid = F.interpolate(grid, size, mode='bicubic', align_corners=False)
    return torch.cat([grid[0].flatten(1).T.to(table.dtype), table[rows:]])
