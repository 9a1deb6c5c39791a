"""Class activation maps of a classifier, by the package grad-cam."""
import difflib
import warnings
from itertools import groupby
from typing import List, NamedTuple, Optional, Sequence

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import nn

from .cam_layers import MapReader, find_target_layer, get_layers
from .image_grid import DARK, Panel
from .rgb_images import to_rgb

METHODS = ('GradCAM', 'GradCAM++', 'XGradCAM', 'HiResCAM', 'LayerCAM',
           'GradCAMElementWise', 'EigenCAM', 'EigenGradCAM', 'KPCA-CAM',
           'ScoreCAM', 'RandomCAM')


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

    def own(method: str) -> str:
        return method.replace('++', 'PlusPlus').replace('-', '_')

    known = {own(method).lower(): own(method) for method in METHODS}
    found = known.get(own(name).lower())
    if found is None:
        raise ValueError(f'--method: there is no method {name!r}; choose one '
                         f'of {", ".join(METHODS)}.')
    try:
        import pytorch_grad_cam
    except ImportError as error:
        raise ImportError(
            'Class activation maps need the package grad-cam: install the '
            'extra `cam`, pip install "csd_mmpretrain[cam]".') from error
    return getattr(pytorch_grad_cam, found)


def cam_rows(model: BaseModel,
             items: Sequence[dict],
             layers: Sequence[nn.Module],
             targets: Sequence[int] = (),
             batch_size: int = 16,
             **options) -> List[CAMRow]:
    """Predict images and explain the predictions.

    The maps explain logits. A logit that is negative everywhere in the map
    leaves it empty (0), even if it is the highest: softmax ignores what all
    logits share, and ``relative`` takes it off.

    Args:
        model (BaseModel): A classifier; it is put in evaluation mode.
        items (Sequence[dict]): What a test pipeline returns for each image.
        layers (Sequence[nn.Module]): Whose outputs the maps weigh; their
            maps are averaged.
        targets (Sequence[int]): The classes to explain in every image.
            Defaults to (), the predicted class of each.
        batch_size (int): Images at a time, of one size. Defaults to 16.
        **options: method (str, one of ``METHODS``, ``'GradCAM'`` by default),
            eigen_smooth (bool, first principal component in place of the
            sum over the channels), aug_smooth (bool, mean over six augmented
            images), relative (bool, explain the logit less the mean of all
            logits), num_prefix_tokens (int, see
            :class:`~csd_mmpretrain.visualization.cam_layers.MapReader`).

    Returns:
        list[CAMRow]: One per image.

    Raises:
        ValueError: If there is no such class or method, or an output is no
            feature map.
        ImportError: If grad-cam is missing.

    Source: grad-cam explains a logit; ``relative`` is a choice.

    Example:
        ::

            layer = find_target_layer(model, images)
            rows = cam_rows(model, items, get_layers(model, [layer]), [3])
    """
    model.eval()
    rows = []
    for _, group in groupby(items, lambda item: item['inputs'].shape[-2:]):
        inputs = [item['inputs'] for item in group]
        for start in range(0, len(inputs), batch_size):
            images = model.data_preprocessor(
                dict(inputs=inputs[start:start + batch_size]))['inputs']
            with torch.no_grad():
                samples = model(images, mode='predict')
            scores = torch.stack(
                [sample.pred_score for sample in samples]).cpu().numpy()
            columns = [[target] * len(images) for target in targets]
            columns = columns or [scores.argmax(1).tolist()]
            if max(map(max, columns)) >= scores.shape[1]:
                raise ValueError(
                    f'--target-category {max(map(max, columns))}: the model '
                    f'has {scores.shape[1]} classes, counted from 0.')
            cams = [_maps(model, images, layers, column, **options)
                    for column in columns]
            rows += map(CAMRow, to_rgb(model, images), zip(*cams),
                        zip(*columns), scores)
    return rows


def _maps(model: BaseModel,
          images: torch.Tensor,
          layers: Sequence[nn.Module],
          targets: Sequence[int],
          method: str = 'GradCAM',
          num_prefix_tokens: Optional[int] = None,
          relative: bool = False,
          **smooth: bool) -> np.ndarray:
    """Return a map of each image and its target, (B, H, W) in [0, 1]."""
    reader = MapReader(model, tuple(images.shape[-2:]), num_prefix_tokens)
    cam = method_class(method)(model, list(layers), reshape_transform=reader)

    def explain(target: int):
        return lambda logits: (
            logits[target] - logits.mean() if relative else logits[target])

    try:
        # A backbone whose weights are frozen has gradients all the same.
        return cam(images.detach().requires_grad_(),
                   [explain(target) for target in targets], **smooth)
    finally:
        cam.activations_and_grads.release()
        model.zero_grad(set_to_none=True)


def grad_cams(model: BaseModel,
              items: Sequence[dict],
              target: Optional[int] = None) -> Optional[List[np.ndarray]]:
    """Compute Grad-CAM of a class, to show beside something.

    Args:
        model (BaseModel): A classifier; it is put in evaluation mode.
        items (Sequence[dict]): What a test pipeline returns for each image,
            at least one.
        target (int, optional): The class. Defaults to None, the predicted
            one of each image.

    Returns:
        list[ndarray] | None: (H, W) each, float32 in [0, 1]; None, with a
        warning, without the package grad-cam.

    Raises:
        ValueError: If the logits depend on no feature map.
    """
    model.eval()
    images = model.data_preprocessor(dict(inputs=[items[0]['inputs']]))
    layer = find_target_layer(model, images['inputs'])
    try:
        rows = cam_rows(model, items, get_layers(model, [layer]),
                        () if target is None else (target, ))
    except ImportError as error:
        warnings.warn(f'Nothing is shown beside the explanations: {error}',
                      stacklevel=2)
        return None
    return [row.cams[0] for row in rows]


def cam_panels(row: CAMRow,
               classes: Optional[Sequence[str]] = None) -> List[Panel]:
    """Caption the maps of an image with target and predicted class.

    Args:
        row (CAMRow): The image with its maps.
        classes (Sequence[str], optional): Names of the classes. Defaults to
            None, their numbers.

    Returns:
        list[Panel]: One per map.
    """

    def describe(title: str, label: int) -> tuple:
        name = f'class {label}' if classes is None else str(classes[label])
        return f'{title}: {name} ({row.scores[label]:.0%})', DARK

    predicted = int(row.scores.argmax())
    return [
        Panel(row.image, heat=cam, captions=[
            *([] if target == predicted else [describe('target', target)]),
            describe('predicted', predicted)
        ]) for cam, target in zip(row.cams, row.targets)
    ]


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
