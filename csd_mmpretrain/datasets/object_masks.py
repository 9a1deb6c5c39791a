"""Masks of objects, as the test pipeline shows them to a model."""
from typing import Sequence

import numpy as np
from mmengine.dataset import Compose
from PIL import Image

from .eval_images import load_items


def load_masks(infos: Sequence[dict], pipeline: Compose) -> np.ndarray:
    """Load the masks of images through the pipeline that loads the images.

    A mask goes through as if it were the image, so it is cropped and resized
    as the image is. The pipeline must have no step that draws at random or
    changes colors, which a test pipeline does not.

    Args:
        infos (Sequence[dict]): What ``get_data_info`` tells of each image,
            with ``mask_path``: an image file whose bright half is the object.
        pipeline (Compose): The test pipeline.

    Returns:
        np.ndarray: (N, H, W), bool, true on the object.

    Raises:
        ValueError: If an image has no mask or one of another size, or a mask
            is empty where the model looks.
        FileNotFoundError: If a mask is missing.

    Source: choice; CUB's masks hold which fraction of five people saw the
        bird.

    Example:
        ::

            infos = list_infos(CUBObjects('data/CUB_200_2011', masks=True))
            masks = load_masks(infos[:8], eval_pipeline(cfg))
    """
    maskless = [info['img_path'] for info in infos if 'mask_path' not in info]
    if maskless:
        raise ValueError(
            f'{maskless[0]!r} has no mask. Take a dataset that has masks, '
            'such as CUBObjects with masks=True.')
    for info in infos:
        with Image.open(info['img_path']) as image, \
                Image.open(info['mask_path']) as mask:
            if image.size != mask.size:
                raise ValueError(
                    f'{info["mask_path"]!r} as a mask: it is '
                    f'{mask.width} x {mask.height}, its image '
                    f'{image.width} x {image.height}. Unpack both again.')
    items = load_items(
        [dict(info, img_path=info['mask_path']) for info in infos], pipeline)
    masks = np.stack([item['inputs'][0].numpy() >= 128 for item in items])
    for info, mask in zip(infos, masks):
        if not mask.any():
            raise ValueError(
                f'{info["mask_path"]!r} as a mask: it is empty where the '
                'model looks. Leave the image out, or correct the mask.')
    return masks
