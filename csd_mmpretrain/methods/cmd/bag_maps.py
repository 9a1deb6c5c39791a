"""How CMD's teacher weighs the patches of an image."""
from typing import List, NamedTuple, Sequence

import numpy as np
import torch
from mmengine.dataset import pseudo_collate

from csd_mmpretrain.visualization.cam_figure import CAMPanel
from csd_mmpretrain.visualization.rgb_images import to_rgb

from .cmd import CMD


class BagMaps(NamedTuple):
    """An image, and two maps over its patches.

    Attributes:
        image (ndarray): (H, W, 3), uint8, RGB, as the model gets it.
        weights (ndarray): (h, w), the weights of the patches in the bag, in
            units of the even weight 1 / (h w).
        agreement (ndarray): (h, w), in [0, 1], how much of the image's
            distribution over the prototypes a patch has.
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
        list[BagMaps]: One per image. The distributions are those of the
        student's temperature, without a centre.

    Raises:
        TypeError: If the model is no ``CMD`` with regions.
    """
    if not isinstance(model, CMD) or model.region_neck is None:
        raise TypeError(
            'Bags of patches belong to a CMD with a region_neck, but the '
            f'model is {type(model).__name__}'
            f'{"" if not isinstance(model, CMD) else " without one"}. Give '
            'the config of a CMD, such as '
            'configs/cmd/cmd_swin-tiny_cotton80.py.')
    batch = pseudo_collate(items)
    inputs = torch.stack(batch['inputs'])
    data = model.data_preprocessor(
        dict(inputs=inputs, data_samples=batch['data_samples']))['inputs']
    outputs = model.look(data)
    temperature = model.head.student_temp
    alike = agreement(
        (outputs.region[0].float() / temperature).log_softmax(-1),
        (outputs.image[0].float() / temperature).log_softmax(-1))
    weights = outputs.log_weights[0].exp() * alike.size(1)
    side = int(alike.size(1)**0.5)
    maps = [x.unflatten(1, (side, side)).cpu().numpy()
            for x in (weights, alike)]
    return [BagMaps(*row) for row in zip(to_rgb(model, data), *maps)]


def bag_panels(row: BagMaps) -> List[CAMPanel]:
    """Title the maps of an image, each scaled from its least to its most.

    Args:
        row (BagMaps): The image with its maps.

    Returns:
        list[CAMPanel]: Of the weights and of the agreement.
    """
    return [
        _panel(row.image, row.weights, ' of the even weight'),
        _panel(row.image, row.agreement, '')
    ]


def _panel(image: np.ndarray, values: np.ndarray, unit: str) -> CAMPanel:
    low, high = values.min(), values.max()
    if high - low < 1e-3:
        return CAMPanel(image, np.full_like(values, 0.5), ['all alike'])
    return CAMPanel(image, (values - low) / (high - low),
                    [f'{low:.2f} to {high:.2f}{unit}'])
