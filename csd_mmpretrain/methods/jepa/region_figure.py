"""What JEPA predicts from what, drawn on images."""
from typing import TYPE_CHECKING, List, NamedTuple, Optional, Sequence

import numpy as np
import torch
from mmengine.dataset import pseudo_collate

from csd_mmpretrain.layers.token_trunk import TokenTrunk
from csd_mmpretrain.visualization.image_grid import DARK, Panel, draw_grid
from csd_mmpretrain.visualization.rgb_images import to_rgb

from .jepa import JEPA
from .regions import min_max, region_means

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = ('#e6550d', '#3182bd', '#31a354', '#756bb1', '#d6a000', '#17becf')
_BACKGROUND = '0.45'


class RegionMaps(NamedTuple):
    """An image, its regions, and what is predicted from what.

    Attributes:
        image (ndarray): (H, W, 3), uint8, RGB, as the model gets it.
        saliency (ndarray | None): (h, w), 0 to 1. None with random blocks.
        regions (ndarray | None): (N, h, w), bool, in their order, the
            background last.
        means (ndarray | None): (N, ), the mean saliency of each.
        steps (list[tuple[ndarray, ndarray]]): Context and target of each
            prediction, (h, w), bool.
    """

    image: np.ndarray
    saliency: Optional[np.ndarray]
    regions: Optional[np.ndarray]
    means: Optional[np.ndarray]
    steps: List[tuple]


@torch.no_grad()
def region_maps(model: JEPA, items: Sequence[dict],
                progress: float = 1.) -> List[RegionMaps]:
    """Choose contexts and targets of images, as in a training step.

    Args:
        model (JEPA): In evaluation mode.
        items (Sequence[dict]): What a test pipeline gives for each image.
        progress (float): Of the training, 0 to 1, which sets the fraction of
            regions. Defaults to 1.

    Returns:
        list[RegionMaps]: One per image.

    Raises:
        TypeError: If the model is no ``JEPA``.
    """
    if not isinstance(model, JEPA):
        raise TypeError(
            'Contexts and targets belong to a JEPA, but the model is '
            f'{type(model).__name__}. Give the config of one, such as '
            'configs/jepa/dseq-jepa_vit-small_cotton80.py.')
    batch = pseudo_collate(items)
    batch['inputs'] = torch.stack(batch['inputs'])
    images = model.data_preprocessor(batch)['inputs']
    grid = TokenTrunk(model.backbone).grid(images)
    _, scores = model.look(images)
    targets = model.targets(images, scores, step=(0, progress))

    def arrays(x: Optional[torch.Tensor]) -> Sequence:
        if x is None:
            return [None] * len(images)
        return x.unflatten(-1, grid).cpu().numpy()

    regions = scaled = means = None
    if scores is not None:
        scaled = min_max(scores)
        regions = model.target_generator.regions(scores, grid)
        means = region_means(scaled, regions).cpu().numpy()
    context, target = map(arrays, targets)
    valid = targets.valid.cpu()
    return [
        RegionMaps(image, saliency, parts, means is not None and means[i],
                   [(context[i, c], target[i, c, t])
                    for c, t in valid[i].nonzero().tolist()])
        for i, (image, saliency, parts) in enumerate(zip(
            to_rgb(model, images), arrays(scaled), arrays(regions)))]


def draw_regions(maps: Sequence[RegionMaps]) -> 'Figure':
    """Draw images, a row each: saliency, regions in order, predictions.

    Args:
        maps (Sequence[RegionMaps]): At least one.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.
    """
    rows = []
    for row in maps:
        panels = [Panel(row.image, 'image')]
        if row.regions is not None:
            panels += [
                Panel(row.image, 'saliency', heat=row.saliency,
                      edge=_enlarged(~row.regions[-1], row.image)),
                _region_panel(row)]
        panels += [
            Panel(_seen(row.image, context, target), f'prediction {i}', [
                (f'from {context.mean():.0%}, of {target.mean():.0%}', DARK)])
            for i, (context, target) in enumerate(row.steps, 1)]
        rows.append(panels)
    return draw_grid(
        rows, bar='saliency',
        note='A white line: the kept regions. Predictions: bright patches '
        'are the context, blue ones are predicted, dark ones are hidden.')


def _region_panel(row: RegionMaps) -> Panel:
    from matplotlib.colors import to_rgb as color_values
    image, captions = row.image / 255, []
    last = len(row.regions) - 1
    for i, (region, mean) in enumerate(zip(row.regions, row.means)):
        if not region.any():
            continue
        color = _BACKGROUND if i == last else _COLORS[i % len(_COLORS)]
        mask = _enlarged(region, image)[..., None]
        image = np.where(mask, image / 2 + np.array(color_values(color)) / 2,
                         image)
        name = 'background' if i == last else f'region {i + 1}'
        captions.append((f'{name}: {mean:.2f}', color))
    return Panel((255 * image).astype(np.uint8), 'regions, mean saliency',
                 captions)


def _seen(image: np.ndarray, context: np.ndarray,
          target: np.ndarray) -> np.ndarray:
    shade = np.where(_enlarged(context, image), 1., 0.25)[..., None]
    blue = np.array([30., 110., 255.])
    return np.where(
        _enlarged(target, image)[..., None], image / 2 + blue / 2,
        image * shade).astype(np.uint8)


def _enlarged(mask: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Repeat the cells of a mask over an image, up to its border."""
    for axis in (0, 1):
        index = np.arange(image.shape[axis]) * mask.shape[axis]
        mask = mask.take(index // image.shape[axis], axis)
    return mask
