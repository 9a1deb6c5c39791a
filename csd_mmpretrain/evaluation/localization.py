"""How well a heat map finds the object: inside a mask, and by deletion."""
from typing import Callable, NamedTuple

import numpy as np
import torch


class DeletionCurve(NamedTuple):
    """What a classifier says while the salient pixels vanish.

    Attributes:
        scores (ndarray): (S + 1,), float64: the probability of the class
            that the whole image has, after 0, 1, ..., S steps.
        area (float): Below the curve, its width counted as 1. The smaller,
            the more the class depends on the salient pixels.
    """

    scores: np.ndarray
    area: float


def content_heatmap(heat: np.ndarray, mask: np.ndarray) -> float:
    """Mean of a heat map on the object (CH).

    Args:
        heat (np.ndarray): (H, W), floating, 0 to 1.
        mask (np.ndarray): (H, W), true on the object.

    Returns:
        float: The larger, the better the map covers the object.

    Raises:
        ValueError: If the mask is empty, or of another size.

    Source: ST-ProtoPNet, the released code.
    """
    return float(heat[_checked(heat, mask)].mean(dtype=np.float64))


def outside_inside_relevance(heat: np.ndarray, mask: np.ndarray) -> float:
    """Mean of a heat map off the object by its mean on the object (OIRR).

    Args:
        heat (np.ndarray): (H, W), floating, 0 to 1.
        mask (np.ndarray): (H, W), true on the object.

    Returns:
        float: The smaller, the better. By choice 1 for a map of zeros, which
        tells nothing apart; 0 where the object fills the image; ``inf`` where
        the map is 0 on the object alone.

    Raises:
        ValueError: If the mask is empty, or of another size.

    Source: ST-ProtoPNet, the released code.
    """
    mask = _checked(heat, mask)
    if mask.all():
        return 0.
    inside = heat[mask].mean(dtype=np.float64)
    outside = heat[~mask].mean(dtype=np.float64)
    if inside == 0:
        return 1. if outside == 0 else float('inf')
    return float(outside / inside)


def heat_iou(heat: np.ndarray,
             mask: np.ndarray,
             threshold: float = 0.5) -> float:
    """Intersection over union of the hot pixels and the object.

    Args:
        heat (np.ndarray): (H, W), floating, 0 to 1.
        mask (np.ndarray): (H, W), true on the object.
        threshold (float): Pixels from this value on are hot. Defaults to
            0.5.

    Returns:
        float: 0 to 1; the larger, the better.

    Raises:
        ValueError: If the mask is empty, or of another size.

    Source: ST-ProtoPNet, the released code.
    """
    mask = _checked(heat, mask)
    hot = heat >= threshold
    return float((hot & mask).sum() / (hot | mask).sum())


def _checked(heat: np.ndarray, mask: np.ndarray) -> np.ndarray:
    mask = np.asarray(mask).astype(bool)
    if mask.shape != heat.shape:
        raise ValueError(f'mask: its shape is {mask.shape}, the heat map has '
                         f'{heat.shape}. Give both in the size of the image '
                         'that the model gets.')
    if not mask.any():
        raise ValueError('mask: it is empty, so nothing is inside the object. '
                         'Give a mask that marks the object, or leave the '
                         'image out.')
    return mask


@torch.no_grad()
def deletion_curve(classify: Callable[[torch.Tensor], torch.Tensor],
                   image: torch.Tensor,
                   saliency: torch.Tensor,
                   step: int = 1792) -> DeletionCurve:
    """Set the most salient pixels to 0, step by step, and classify (DAUC).

    Args:
        classify (Callable): Turns images (B, 3, H, W) into probabilities
            (B, K).
        image (Tensor): (3, H, W), as ``classify`` takes it.
        saliency (Tensor): (H, W), how much each pixel counts.
        step (int): Pixels to delete at a time. Defaults to 1792, 28 steps at
            224 px.

    Returns:
        DeletionCurve: The probabilities, and the area below them.

    Source: ST-ProtoPNet, the released code. Of equally salient pixels the
        first goes first (a choice).

    Example:
        ::

            curve = deletion_curve(
                lambda images: model(images).softmax(1), image, heat)
    """
    order = saliency.flatten().argsort(descending=True, stable=True)
    rank = order.argsort().view_as(saliency).to(image.device)
    deleted = torch.arange(
        0, rank.numel() + step, step, device=image.device)[:, None, None, None]
    scores = torch.cat([
        classify(image * (rank >= counts)) for counts in deleted.split(32)
    ]).double()
    scores = scores[:, scores[0].argmax()].cpu().numpy()
    return DeletionCurve(
        scores, float(((scores[1:] + scores[:-1]) / 2).mean()))
