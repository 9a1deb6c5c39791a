"""How well the heat of a class's prototypes finds the object."""
from typing import Dict, Sequence

import numpy as np
import torch

from csd_mmpretrain.datasets.eval_images import eval_pipeline
from csd_mmpretrain.datasets.object_masks import load_masks
from csd_mmpretrain.evaluation.localization import (
    content_heatmap,
    deletion_curve,
    heat_iou,
    outside_inside_relevance,
)

from .explainer import PrototypeExplainer

DELETION_STEPS = 28


def heat_measures(explainer: PrototypeExplainer,
                  infos: Sequence[dict]) -> Dict[str, float]:
    """Average the measures of localization over photos with masks.

    Args:
        explainer (PrototypeExplainer): Of a training.
        infos (Sequence[dict]): What a dataset tells of each photo:
            ``img_path``, ``gt_label`` and ``mask_path``.

    Returns:
        dict[str, float]: Of the heat of the true class ``CH``, ``OIRR`` and
        ``IoU``; ``DAUC``, the area below the probability of the predicted
        class while the most salient pixels are deleted in 28 steps.

    Raises:
        ValueError: If a photo has no mask, or an empty one.

    Source: ST-ProtoPNet's evaluation. The probability is the softmax of the
    summed logits (choice), as in a prediction.
    """
    masks = load_masks(infos, eval_pipeline(explainer.cfg))
    rows = []
    for info, mask in zip(infos, masks):
        photo = explainer.photo(info)
        heat = explainer.heat(photo, int(info['gt_label']))
        curve = deletion_curve(
            lambda images: explainer.model(images, mode='tensor').softmax(1),
            photo.inputs, torch.from_numpy(heat),
            -(-heat.size // DELETION_STEPS))
        rows.append([content_heatmap(heat, mask),
                     outside_inside_relevance(heat, mask),
                     heat_iou(heat, mask), curve.area])
    return dict(zip(('CH', 'OIRR', 'IoU', 'DAUC'), np.mean(rows, 0).tolist()))
