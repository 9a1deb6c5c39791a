"""RGB images to draw, from files and from what a model gets."""
import os
from typing import Optional

import mmcv
import numpy as np
import torch
from mmengine.model import BaseModel

_SIDE = 320


def to_rgb(model: BaseModel, images: torch.Tensor) -> np.ndarray:
    """Undo the normalization of a model's data preprocessor.

    Args:
        model (BaseModel): The model whose ``data_preprocessor`` made them.
        images (Tensor): (B, 3, H, W), floating.

    Returns:
        ndarray: (B, H, W, 3), uint8, RGB.
    """
    preprocessor = model.data_preprocessor
    if preprocessor._enable_normalize:
        images = images * preprocessor.std + preprocessor.mean
    # Self-supervised models' preprocessor names it otherwise.
    names = vars(preprocessor)
    if not names.get('to_rgb', names.get('_channel_conversion')):
        images = images.flip(1)
    images = images.round().clamp(0, 255).to(torch.uint8)
    return images.permute(0, 2, 3, 1).cpu().numpy()


def read_rgb(path: Optional[str]) -> np.ndarray:
    """Read an image file, reduced to a longer side of at most 320 pixels.

    Args:
        path (str, optional): The file.

    Returns:
        ndarray: (H, W, 3), uint8, RGB.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not path or not os.path.isfile(path):
        raise FileNotFoundError(
            f'The figure shows image files, but {path!r} is no file here. '
            'Give data whose images are files on this machine; in place of '
            'stored predictions, give a checkpoint.')
    image = mmcv.imread(path, channel_order='rgb')
    scale = _SIDE / max(image.shape[:2])
    return mmcv.imrescale(image, scale) if scale < 1 else image
