"""The part of a photo that a small map points at."""
from typing import Tuple

import cv2
import numpy as np

Box = Tuple[int, int, int, int]


def enlarged(heat: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Enlarge a map to a photo, bicubically.

    Args:
        heat (np.ndarray): (h, w), floating.
        size (tuple[int, int]): Height and width of the photo.

    Returns:
        np.ndarray: (H, W), of the dtype of ``heat``. A constant map stays
        constant, without noise of rounding.

    Source: ST-ProtoPNet, the released code (OpenCV's bicubic weights).
    """
    low = heat.min()
    return low + cv2.resize(
        heat - low, size[::-1], interpolation=cv2.INTER_CUBIC)


def min_max(heat: np.ndarray) -> np.ndarray:
    """Scale a map to [0, 1].

    Args:
        heat (np.ndarray): (H, W), floating.

    Returns:
        np.ndarray: (H, W); zeros where all values are equal, because such a
        map points nowhere (a choice).
    """
    span = heat.max() - heat.min()
    return (heat - heat.min()) / (span if span > 0 else 1)


def high_activation_box(heat: np.ndarray,
                        size: Tuple[int, int],
                        percentile: float = 95) -> Box:
    """Find the smallest box that holds the highest values of a map.

    Args:
        heat (np.ndarray): (h, w), floating: a small map.
        size (tuple[int, int]): Height and width of the photo.
        percentile (float): Values of the enlarged map from this percentile
            on are in the box. Defaults to 95.

    Returns:
        tuple[int]: Left, top, right, bottom in pixels of the photo; right
        and bottom are excluded. The whole photo where all values are equal.

    Source: ST-ProtoPNet, the released code.

    Example:
        >>> heat = np.zeros((4, 4), np.float32)
        >>> heat[1, 2] = 1
        >>> high_activation_box(heat, (64, 64))
        (32, 16, 48, 32)
    """
    heat = enlarged(heat, size)
    y, x = np.nonzero(heat >= np.percentile(heat, percentile))
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


def cell_box(cell_yx: Tuple[int, int], grid_hw: Tuple[int, int],
             image_hw: Tuple[int, int]) -> Box:
    """Find the pixels of a cell of a map.

    Args:
        cell_yx (tuple[int, int]): Row and column of the cell, from 0.
        grid_hw (tuple[int, int]): Height and width of the map.
        image_hw (tuple[int, int]): Height and width of the photo.

    Returns:
        tuple[int]: Left, top, right, bottom; right and bottom are excluded.

    Source: EPIC, the released code.

    Example:
        >>> cell_box((6, 3), (7, 7), (224, 224))
        (96, 192, 128, 224)
    """
    (y, x), (rows, columns), (height, width) = cell_yx, grid_hw, image_hw
    return (x * width // columns, y * height // rows,
            (x + 1) * width // columns, (y + 1) * height // rows)
