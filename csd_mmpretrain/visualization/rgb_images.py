"""Images as a person sees them, from what a model gets."""
import mmcv
import numpy as np
import torch
from mmengine.model import BaseModel


def to_rgb(model: BaseModel, images: torch.Tensor) -> np.ndarray:
    """Undo the normalisation of a model's data preprocessor.

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


def read_rgb(path: str, side: int) -> np.ndarray:
    """Read an image file for a drawing.

    Args:
        path (str): The file.
        side (int): A larger image is reduced to this longer side.

    Returns:
        ndarray: (H, W, 3), uint8, RGB.
    """
    image = mmcv.imread(path, channel_order='rgb')
    scale = side / max(image.shape[:2])
    return mmcv.imrescale(image, scale) if scale < 1 else image


def on_square(image: np.ndarray) -> np.ndarray:
    """Put an image on a white square.

    Args:
        image (ndarray): (H, W, 3), uint8.

    Returns:
        ndarray: (S, S, 3), uint8, where S is the longer side.
    """
    height, width = image.shape[:2]
    side = max(height, width)
    square = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top:top + height, left:left + width] = image
    return square
