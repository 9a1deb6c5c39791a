"""What a trained model sees in images, as arrays to draw."""
from typing import List, NamedTuple, Optional, Sequence

import numpy as np
import torch
from mmengine.model import BaseModel

from csd_mmpretrain.models.views import DiscrepancyMaskView


class SSDPRow(NamedTuple):
    """One image with what SSDP makes of it.

    Attributes:
        image (ndarray): I, (H, W, 3), uint8, RGB, as the backbone gets it.
        pattern (ndarray): P, (h, w), float32.
        mask (ndarray): M, (H, W), bool; float32 in [0, 1] for ``'soft'``.
        second (ndarray): I', (H, W, 3), uint8, RGB.
        pred_label (int): The predicted class.
        pred_score (float): Its probability.
        gt_label (int, optional): The true class, if it is known.
    """

    image: np.ndarray
    pattern: np.ndarray
    mask: np.ndarray
    second: np.ndarray
    pred_label: int
    pred_score: float
    gt_label: Optional[int]


def check_pattern_map(model: BaseModel) -> None:
    """Check that a model has a pattern map to draw.

    Args:
        model (BaseModel): The model.

    Raises:
        TypeError: If its neck has no ``pattern_map``.
    """
    neck = getattr(model, 'neck', None)
    if not hasattr(neck, 'pattern_map'):
        raise TypeError(
            f"The model's neck is {type(neck).__name__}, which has no "
            'pattern map to draw. Give a config whose neck is '
            "dict(type='SSDPNeck', ...), such as "
            'configs/csdnet/grocery81.py.')


@torch.no_grad()
def ssdp_rows(model: BaseModel, batch: Sequence[dict],
              view: DiscrepancyMaskView) -> List[SSDPRow]:
    """Run a model on images and collect what SSDP makes of them.

    The images go through the model as in a test. The second view, which only
    training makes, comes from ``view``.

    Args:
        model (BaseModel): A classifier whose neck has ``pattern_map``.
        batch (Sequence[dict]): What a test pipeline returns for each image,
            all of one size.
        view (DiscrepancyMaskView): How to make M and I'.

    Returns:
        list[SSDPRow]: One per image.

    Raises:
        TypeError: If the model's neck has no ``pattern_map``.
    """
    check_pattern_map(model)
    model.eval()
    data = model.data_preprocessor(
        dict(
            inputs=[item['inputs'] for item in batch],
            data_samples=[item['data_samples'] for item in batch]))
    images = data['inputs']
    feats = model.backbone(images)
    pattern = model.neck.pattern_map(feats)
    if view.mode == 'soft':
        mask = view(torch.ones_like(images), pattern)[0][:, 0]
    else:
        mask = view.mask(pattern, images.shape[-2:])
    second, _ = view(images, pattern)
    samples = model.head.predict(model.neck(feats), data['data_samples'])
    labels = [
        sample.gt_label.item() if 'gt_label' in sample else None
        for sample in samples
    ]
    return [
        SSDPRow(*row) for row in zip(
            _to_rgb(model, images),
            pattern.cpu().numpy(),
            mask.cpu().numpy(), _to_rgb(model, second),
            [sample.pred_label.item() for sample in samples],
            [sample.pred_score.max().item() for sample in samples], labels)
    ]


def row_title(row: SSDPRow,
              classes: Optional[Sequence[str]] = None,
              has_classifier: bool = True) -> str:
    """Say what is known of an image's class.

    Args:
        row (SSDPRow): The image.
        classes (Sequence[str], optional): Names; numbers where there are
            none. Defaults to None.
        has_classifier (bool): Whether the prediction means anything.
            Defaults to True.

    Returns:
        str: The true and the predicted class; empty, if neither is known.
    """
    parts = []
    if row.gt_label is not None:
        parts.append(f'true: {_name(row.gt_label, classes)}')
    if has_classifier:
        parts.append(f'predicted: {_name(row.pred_label, classes)} '
                     f'({row.pred_score:.0%})')
    return '     '.join(parts)


def _name(label: int, classes: Optional[Sequence[str]]) -> str:
    return f'class {label}' if classes is None else str(classes[label])


def _to_rgb(model: BaseModel, images: torch.Tensor) -> np.ndarray:
    """Undo the normalisation: (B, H, W, 3), uint8, RGB."""
    preprocessor = model.data_preprocessor
    if preprocessor._enable_normalize:
        images = images * preprocessor.std + preprocessor.mean
    if not preprocessor.to_rgb:
        images = images.flip(1)
    images = images.round().clamp(0, 255).to(torch.uint8)
    return images.permute(0, 2, 3, 1).cpu().numpy()
