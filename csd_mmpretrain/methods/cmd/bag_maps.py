"""How CMD's teacher weighs the patches of an image."""
from typing import List, NamedTuple, Sequence

import numpy as np
import torch
from mmengine.dataset import pseudo_collate

from csd_mmpretrain.visualization.rgb_images import to_rgb

from .cmd import CMD


class BagMaps(NamedTuple):
    """An image, and two maps over its patches.

    Attributes:
        image (ndarray): (H, W, 3), uint8, RGB, as the model gets it.
        weights (ndarray): (h, w), the weights of the patches in the bag, in
            units of the even weight 1 / (h w).
        agreement (ndarray): (h, w), in [0, 1], the agreement of each patch's
            distribution over the prototypes with the image's.
    """

    image: np.ndarray
    weights: np.ndarray
    agreement: np.ndarray


def agreement(tokens: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    r"""Compare the distributions of patches with that of their image.

    .. math:: \sum_k \sqrt{p_n[k] \, \bar p[k]}

    Args:
        tokens (Tensor): (B, N, K), log-probabilities.
        image (Tensor): (B, K), log-probabilities.

    Returns:
        Tensor: (B, N), in [0, 1]; 1 where the two are equal.

    Source: choice (Bhattacharyya's coefficient).

    Example:
        >>> import torch
        >>> image = torch.tensor([[1., 2.]]).log_softmax(-1)
        >>> [[round(x, 3) for x in row] for row in
        ...  agreement(image[:, None], image).tolist()]
        [[1.0]]
    """
    return ((tokens + image[:, None]) / 2).exp().sum(-1)


@torch.no_grad()
def bag_maps(model: CMD, items: Sequence[dict]) -> List[BagMaps]:
    """Compute the maps of images.

    Args:
        model (CMD): With a region level, in evaluation mode.
        items (Sequence[dict]): What a test pipeline gives for each image.

    Returns:
        list[BagMaps]: One per image. The distributions are those at the
        student's temperature, without centering.

    Raises:
        TypeError: If the model is no ``CMD`` with regions.
    """
    if not isinstance(model, CMD) or model.region_neck is None:
        raise TypeError(
            'Bags of patches belong to a CMD with a region_neck, but the '
            f'model is {type(model).__name__}'
            f'{" without one" if isinstance(model, CMD) else ""}. Give '
            'the config of a CMD, such as '
            'configs/cmd/cmd_swin-tiny_cotton80.py.')
    batch = pseudo_collate(items)
    batch['inputs'] = torch.stack(batch['inputs'])
    data = model.data_preprocessor(batch)['inputs']
    outputs = model.look(data)
    alike = agreement(*(
        (level[0].float() / model.head.student_temp).log_softmax(-1)
        for level in (outputs.region, outputs.image)))
    weights = outputs.log_weights[0].exp() * alike.size(1)
    side = int(alike.size(1)**0.5)
    maps = [x.unflatten(1, (side, side)).cpu().numpy()
            for x in (weights, alike)]
    return [BagMaps(*row) for row in zip(to_rgb(model, data), *maps)]
