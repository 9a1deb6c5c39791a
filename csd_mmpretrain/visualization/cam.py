"""Class activation maps of a classifier, by the package grad-cam."""
import difflib
from functools import partial
from itertools import groupby
from typing import List, NamedTuple, Optional, Sequence

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import nn

from .cam_layers import MapReader
from .rgb_images import to_rgb

# By the name that a user gives: that of grad-cam, and the name in the field.
METHODS = {
    'GradCAM': 'GradCAM',
    'GradCAM++': 'GradCAMPlusPlus',
    'XGradCAM': 'XGradCAM',
    'HiResCAM': 'HiResCAM',
    'LayerCAM': 'LayerCAM',
    'GradCAMElementWise': 'GradCAMElementWise',
    'EigenCAM': 'EigenCAM',
    'EigenGradCAM': 'EigenGradCAM',
    'KPCA-CAM': 'KPCA_CAM',
    'ScoreCAM': 'ScoreCAM',
    'RandomCAM': 'RandomCAM',
}


class CAMRow(NamedTuple):
    """One image with its class activation maps.

    Attributes:
        image (ndarray): (H, W, 3), uint8, RGB, as the backbone gets it.
        cams (list[ndarray]): (H, W) each, float32 in [0, 1], one per target.
        targets (list[int]): The classes that they explain.
        scores (ndarray): (K,), the predicted probability of each class.
    """

    image: np.ndarray
    cams: List[np.ndarray]
    targets: List[int]
    scores: np.ndarray


def method_class(name: str) -> type:
    """Find a method of the package grad-cam.

    Args:
        name (str): One of ``METHODS`` or grad-cam's own name, in upper or
            lower case.

    Returns:
        type: The class of grad-cam.

    Raises:
        ValueError: If there is no such method.
        ImportError: If grad-cam is missing.
    """
    known = {key.lower(): value for key, value in METHODS.items()}
    known.update({value.lower(): value for value in METHODS.values()})
    if name.lower() not in known:
        raise ValueError(f'--method: there is no method {name!r}; choose one '
                         f'of {", ".join(METHODS)}.')
    try:
        import pytorch_grad_cam
    except ImportError as error:
        raise ImportError(
            'Class activation maps need the package grad-cam: install the '
            'extra `cam`, pip install "csd_mmpretrain[cam]".') from error
    return getattr(pytorch_grad_cam, known[name.lower()])


def class_activation_maps(model: BaseModel,
                          images: torch.Tensor,
                          layers: Sequence[nn.Module],
                          targets: Sequence[int],
                          method: str = 'GradCAM',
                          reader: Optional[MapReader] = None,
                          eigen_smooth: bool = False,
                          aug_smooth: bool = False,
                          relative: bool = False) -> np.ndarray:
    """Compute the class activation maps of a batch.

    Explained are the logits of ``model(images)``, those of mode ``'tensor'``.
    A logit that is negative everywhere in the map leaves it empty (0), even
    if it is the highest, for softmax does not see what all logits share;
    ``relative`` takes that off.

    Args:
        model (BaseModel): A classifier; it is put in evaluation mode.
        images (Tensor): (B, 3, H, W), normalised, on the model's device.
        layers (Sequence[nn.Module]): Whose outputs the maps weigh; the mean
            over the layers counts.
        targets (Sequence[int]): The class of each image.
        method (str): One of ``METHODS``. Defaults to ``'GradCAM'``.
        reader (MapReader, optional): Knows the layouts. Defaults to None,
            one that asks the model.
        eigen_smooth (bool): First principal component in place of the sum
            over the channels. Defaults to False.
        aug_smooth (bool): Mean over six augmented images. Defaults to False.
        relative (bool): Explain the logit less the mean of all logits.
            Defaults to False.

    Returns:
        ndarray: (B, H, W), float32, each scaled to [0, 1].

    Raises:
        ValueError: If the method is unknown or an output is no feature map.
        ImportError: If grad-cam is missing.

    Source: grad-cam explains a logit; ``relative`` is a choice.

    Example:
        ::

            layer = find_target_layer(model, images, reader)
            cams = class_activation_maps(
                model, images, get_layers(model, [layer]), [3, 7])
    """
    cls = method_class(method)
    if reader is None:
        reader = MapReader(model, tuple(images.shape[-2:]))
    cam = cls(model, list(layers), reshape_transform=reader)
    try:
        # A backbone whose weights are frozen has gradients all the same.
        return cam(
            images.detach().requires_grad_(),
            [partial(_logit, target, relative) for target in targets],
            eigen_smooth=eigen_smooth,
            aug_smooth=aug_smooth)
    finally:
        cam.activations_and_grads.release()
        model.zero_grad(set_to_none=True)


def _logit(target: int, relative: bool, logits: torch.Tensor) -> torch.Tensor:
    return logits[target] - logits.mean() if relative else logits[target]


def cam_rows(model: BaseModel,
             items: Sequence[dict],
             layers: Sequence[nn.Module],
             targets: Sequence[int] = (),
             batch_size: int = 16,
             num_prefix_tokens: Optional[int] = None,
             **options) -> List[CAMRow]:
    """Predict images and explain the predictions.

    Args:
        model (BaseModel): A classifier.
        items (Sequence[dict]): What a test pipeline returns for each image.
        layers (Sequence[nn.Module]): See :func:`class_activation_maps`.
        targets (Sequence[int]): The classes to explain in every image.
            Defaults to (), the predicted class of each.
        batch_size (int): Images at a time, of one size. Defaults to 16.
        num_prefix_tokens (int, optional): See :class:`MapReader`.
        **options: ``method``, ``eigen_smooth``, ``aug_smooth`` and
            ``relative`` of :func:`class_activation_maps`.

    Returns:
        list[CAMRow]: One per image.

    Raises:
        ValueError: If there is no such class, or an output is no feature
            map.
    """
    rows = []
    for size, group in groupby(items, lambda item: item['inputs'].shape[-2:]):
        group = list(group)
        reader = MapReader(model, tuple(size), num_prefix_tokens)
        for start in range(0, len(group), batch_size):
            images = preprocess(model, group[start:start + batch_size])
            scores = _predict(model, images)
            columns = [[target] * len(images) for target in targets]
            columns = columns or [scores.argmax(1).tolist()]
            if max(map(max, columns)) >= scores.shape[1]:
                raise ValueError(
                    f'--target-category {max(map(max, columns))}: the model '
                    f'has {scores.shape[1]} classes, counted from 0.')
            cams = [
                class_activation_maps(
                    model, images, layers, column, reader=reader, **options)
                for column in columns
            ]
            rows += [
                CAMRow(*row) for row in zip(
                    to_rgb(model, images), zip(*cams), zip(*columns), scores)
            ]
    return rows


def preprocess(model: BaseModel, items: Sequence[dict]) -> torch.Tensor:
    """Make a batch, as the model gets it.

    Args:
        model (BaseModel): With a ``data_preprocessor``.
        items (Sequence[dict]): What a test pipeline returns for each image,
            all of one size.

    Returns:
        Tensor: (B, 3, H, W), normalised, on the model's device.
    """
    return model.data_preprocessor(
        dict(inputs=[item['inputs'] for item in items]))['inputs']


@torch.no_grad()
def _predict(model: BaseModel, images: torch.Tensor) -> np.ndarray:
    model.eval()
    samples = model(images, mode='predict')
    return torch.stack([sample.pred_score for sample in samples]).cpu().numpy()


def find_category(category: str, classes: Optional[Sequence[str]]) -> int:
    """Look up a class by its number or name.

    Args:
        category (str): What the user gives.
        classes (Sequence[str], optional): Names of the classes.

    Returns:
        int: Its number.

    Raises:
        ValueError: If there is no such class.
    """
    if classes is not None and category in classes:
        return list(classes).index(category)
    if category.isdigit() and (classes is None
                               or int(category) < len(classes)):
        return int(category)
    if classes is None:
        raise ValueError(f'{category!r} is no class number, and the names of '
                         'the classes are unknown. Give a number, counted '
                         'from 0.')
    close = difflib.get_close_matches(category, classes, 3, 0.4)
    like = f' Close to it: {", ".join(close)}.' if close else ''
    raise ValueError(
        f'There is no class {category!r}.{like} Give a name, or a number '
        f'from 0 to {len(classes) - 1}.')
