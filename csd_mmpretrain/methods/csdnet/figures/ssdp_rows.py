"""What a trained model sees in images, as arrays to draw."""
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np
import torch
from mmengine.model import BaseModel

from csd_mmpretrain.datasets.eval_images import file_name
from csd_mmpretrain.methods.csdnet.discrepancy_mask_view import (
    DiscrepancyMaskView,
)
from csd_mmpretrain.methods.csdnet.ssdp_neck import gate_weights
from csd_mmpretrain.visualization.rgb_images import to_rgb

_TOP = 3


class SSDPRow(NamedTuple):
    """One image with what SSDP makes of it.

    Attributes:
        image (ndarray): I, (H, W, 3), uint8, RGB, as the backbone gets it.
        pattern (ndarray, optional): P, (h, w), float32, if the neck has one.
        gate (ndarray, optional): The neck's weight of each position, (h, w),
            float32, if it has one.
        mask (ndarray, optional): M, (H, W), bool, if a view has one; float32
            in [0, 1] if ``'soft'`` is the only view.
        seconds (dict[str, ndarray]): I' by the name of the view, each like
            ``image``.
        predictions (list, optional): For the image and for each second view,
            the best classes as pairs (class, probability).
        gt_label (int, optional): The true class, if it is known.
        file (str): Name of the image's file, if it has one.
    """

    image: np.ndarray
    pattern: Optional[np.ndarray]
    gate: Optional[np.ndarray]
    mask: Optional[np.ndarray]
    seconds: Dict[str, np.ndarray]
    predictions: Optional[list] = None
    gt_label: Optional[int] = None
    file: str = ''


def check_pattern_map(model: BaseModel, views: Mapping[str, Any]) -> None:
    """Check that a model has the pattern map that its views need.

    Args:
        model (BaseModel): The model.
        views (Mapping[str, Callable]): The second views by name.

    Raises:
        TypeError: If a view needs it, and the neck has no ``pattern_map``.
    """
    neck = getattr(model, 'neck', None)
    needing = [name for name, view in views.items() if view.needs_pattern_map]
    if needing and not hasattr(neck, 'pattern_map'):
        raise TypeError(
            f"The model's neck is {type(neck).__name__}, which has no "
            f'pattern map to draw, but the view {needing[0]!r} needs one. '
            "Give a config whose neck is dict(type='SSDPNeck', ...), such as "
            'configs/csdnet/grocery81.py.')


@torch.no_grad()
def ssdp_rows(model: BaseModel,
              batch: Sequence[dict],
              views: Mapping[str, Any],
              has_classifier: bool = True) -> List[SSDPRow]:
    """Run a model on a batch and collect what SSDP makes of it.

    The model is in evaluation mode, whereas the training normalizes second
    views by the statistics of their own batch.

    Args:
        model (BaseModel): A classifier. A pattern map and a gate come from
            its neck, if it has them.
        batch (Sequence[dict]): What a pipeline returns for each image.
        views (Mapping[str, Callable]): The second views by name, see
            :func:`~csd_mmpretrain.methods.csdnet.figures.ssdp_views.choose_views`.
        has_classifier (bool): Whether predictions mean anything. Defaults to
            True.

    Returns:
        list[SSDPRow]: One per image.

    Raises:
        TypeError: If a view needs a pattern map that the neck lacks.
    """
    check_pattern_map(model, views)
    model.eval()
    data = model.data_preprocessor(
        dict(
            inputs=[item['inputs'] for item in batch],
            data_samples=[item['data_samples'] for item in batch]))
    images = data['inputs']
    labels = [
        sample.gt_label.item()
        if 'gt_label' in sample and sample.gt_label.numel() == 1 else None
        for sample in data['data_samples']
    ]
    targets = None if None in labels else images.new_tensor(
        labels, dtype=torch.long)
    feats = model.backbone(images)
    neck = getattr(model, 'neck', None)
    pattern = gate = None
    if hasattr(neck, 'pattern_map'):
        pattern = neck.pattern_map(feats)
        gating = getattr(neck, 'gating', 'none')
        gate = None if gating == 'none' else gate_weights(pattern, gating)
    seconds = {name: view(images, pattern, targets)[0]
               for name, view in views.items()}

    predictions = [None] * len(batch)
    if has_classifier:
        found = [_predict(model, feats)]
        found += [_predict(model, model.backbone(second))
                  for second in seconds.values()]
        predictions = [list(best) for best in zip(*found)]
    pixels = {name: to_rgb(model, second)
              for name, second in seconds.items()}
    columns = [to_rgb(model, images)] + [
        [None] * len(batch) if maps is None else maps.cpu().numpy()
        for maps in (pattern, gate, _mask(views, images, pattern))
    ]
    return [
        SSDPRow(*arrays, {name: view[i] for name, view in pixels.items()},
                predictions[i], labels[i], file_name(batch[i]))
        for i, arrays in enumerate(zip(*columns))
    ]


def _mask(views: Mapping[str, Any], images: torch.Tensor,
          pattern: Optional[torch.Tensor]) -> Optional[torch.Tensor]:
    masked = [view for view in views.values()
              if isinstance(view, DiscrepancyMaskView)]
    for view in masked:
        if view.mode != 'soft':
            return view.mask(pattern, images.shape[-2:])
    if masked:
        return masked[0](torch.ones_like(images), pattern)[0][:, 0]
    return None


def _predict(model: BaseModel, feats: Sequence[torch.Tensor]) -> List[list]:
    """Return the best classes of each image, with their probabilities."""
    if model.with_neck:
        feats = model.neck(feats)
    scores = torch.stack(
        [sample.pred_score for sample in model.head.predict(feats)])
    best = scores.topk(min(_TOP, scores.size(1)))
    return [list(zip(*pair)) for pair in zip(best.indices.tolist(),
                                             best.values.tolist())]
