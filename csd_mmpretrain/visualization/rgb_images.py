"""Images as a person sees them, from what a model gets."""
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
    if not preprocessor.to_rgb:
        images = images.flip(1)
    images = images.round().clamp(0, 255).to(torch.uint8)
    return images.permute(0, 2, 3, 1).cpu().numpy()
