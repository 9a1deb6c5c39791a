"""The second view of SSDP: the image under its discrepancy mask."""
import math
from typing import Optional, Tuple, Union

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS

from csd_mmpretrain.layers.crop_resize import crop_resize

MODES = ('keep', 'erase', 'crop', 'soft')
Threshold = Union[str, float, Tuple[str, float]]


def discrepancy_mask(
    pattern: torch.Tensor,
    size: Tuple[int, int],
    threshold: Threshold = 'mean',
    area: Tuple[float, float] = (0.1, 0.9)
) -> torch.Tensor:
    r"""Binarize pattern maps to masks of image size.

    P is upsampled bilinearly and :math:`M = 1` where :math:`P \ge t`. Where
    that keeps less or more than ``area``, the cells of the map are ranked
    instead (ties by position) and as many are kept as the bound allows.

    Args:
        pattern (Tensor): (B, h, w), floating, more than one position.
        size (tuple[int, int]): Height and width of the mask.
        threshold (str | float | tuple): t of each image: ``'mean'``, the mean
            of its upsampled map; a number in (0, 1), on the map scaled to
            [0, 1]; ``('quantile', q)``, the q-quantile of the map. Defaults
            to ``'mean'``.
        area (tuple[float, float]): Bounds of the kept fraction of the image.
            Defaults to (0.1, 0.9).

    Returns:
        Tensor: (B, H, W), bool.

    Raises:
        ValueError: If the map has one position only, or cells so large that
            no number of them meets ``area``.

    Source: Eq. 1 of the paper (a binarization); threshold, bounds and
    ranking are choices.

    Example:
        >>> import torch
        >>> discrepancy_mask(torch.rand(2, 7, 7), (224, 224)).shape
        torch.Size([2, 224, 224])
    """
    least, most = _pixel_bounds(pattern.shape[1:], size, area)
    pattern = pattern.float()
    lifted = _lift(pattern)
    upsampled = _upsample(lifted, size)
    if threshold == 'mean':
        level = upsampled.mean(dim=(1, 2))
    elif isinstance(threshold, (int, float)):
        low, high = upsampled.amin(dim=(1, 2)), upsampled.amax(dim=(1, 2))
        level = low + threshold * (high - low)
    else:
        level = lifted.flatten(1).quantile(threshold[1], dim=1)
    mask = upsampled >= level[:, None, None]
    kept = mask.sum(dim=(1, 2))
    inside = (kept >= least) & (kept <= most)
    return torch.where(inside[:, None, None], mask,
                       _ranked_mask(pattern, size, kept > most, least, most))


def _lift(pattern: torch.Tensor) -> torch.Tensor:
    """Shift each minimum to 0, so that rounding leaves a constant map so."""
    return pattern - pattern.amin(dim=(1, 2), keepdim=True)


def _upsample(pattern: torch.Tensor, size: Tuple[int, int]) -> torch.Tensor:
    return F.interpolate(
        pattern[:, None], size, mode='bilinear', align_corners=False)[:, 0]


def _check_grid(grid: Tuple[int, int]) -> None:
    h, w = grid
    if h * w < 2:
        raise ValueError(
            f'The pattern map is {h} x {w}, so it cannot tell one part of '
            'the image from another. Use a larger image or a backbone with '
            'a smaller stride.')


def _pixel_bounds(grid: Tuple[int, int], size: Tuple[int, int],
                  area: Tuple[float, float]) -> Tuple[int, int]:
    """Turn bounds of the kept fraction into pixels, if cells can meet them."""
    _check_grid(grid)
    (h, w), (height, width) = grid, size
    pixels = height * width
    # 0.1 * 30 is a little more than 3.
    least = max(1, math.ceil(area[0] * pixels - 1e-6))
    most = math.floor(area[1] * pixels + 1e-6)
    largest = -(-height // h) * -(-width // w)
    if largest > most - least + 1:
        raise ValueError(
            f'One cell of the {h} x {w} pattern map covers '
            f'{largest / pixels:.0%} of the image, more than '
            f'area={tuple(area)} leaves free. Widen `area` of '
            'DiscrepancyMaskView or use a larger image.')
    return least, most


def _cells(size: int, cells: int,
           device: torch.device) -> Tuple[torch.Tensor, torch.Tensor]:
    """Spread ``size`` pixels over cells: each pixel's cell, cells' pixels."""
    index = torch.arange(size, device=device) * cells // size
    first = (torch.arange(cells + 1, device=device) * size + cells - 1)
    return index, (first // cells).diff()


def _ranked_mask(pattern: torch.Tensor, size: Tuple[int, int],
                 above: torch.Tensor, least: int, most: int) -> torch.Tensor:
    """Keep the best cells: up to ``most`` pixels, or until ``least``."""
    (h, w), (height, width) = pattern.shape[1:], size
    rows, in_row = _cells(height, h, pattern.device)
    cols, in_col = _cells(width, w, pattern.device)
    pixels = (in_row[:, None] * in_col).flatten()

    order = pattern.flatten(1).argsort(dim=1, descending=True, stable=True)
    covered = pixels[order].cumsum(dim=1)
    chosen = torch.where(above[:, None], covered <= most,
                         covered - pixels[order] < least)
    cells = torch.zeros_like(chosen).scatter_(1, order, chosen)
    return cells.view(-1, h, w)[:, rows][:, :, cols]


def _unit_range(x: torch.Tensor) -> torch.Tensor:
    """Scale each map to [0, 1]; without a finite range it becomes 1."""
    x = _lift(x)
    high = x.amax(dim=(1, 2), keepdim=True)
    return torch.where((high > 0) & high.isfinite(), x / high, 1.0)


def _bounding_box(mask: torch.Tensor) -> torch.Tensor:
    """Return (top, bottom, left, right) of each mask, in [0, 1]: (B, 4)."""
    edges = []
    for occupied in (mask.any(dim=2), mask.any(dim=1)):
        n = occupied.size(1)
        occupied = occupied.float()
        edges += [
            occupied.argmax(dim=1) / n, 1 - occupied.flip(1).argmax(dim=1) / n
        ]
    return torch.stack(edges, dim=1)


@MODELS.register_module()
class DiscrepancyMaskView:
    """Make the second view I' from the image and its discrepancy mask M.

    Dropped pixels become 0, the mean color after normalization.

    Args:
        mode (str): ``'keep'``: I * M; ``'erase'``: I * (1 - M); ``'crop'``:
            the bounding box of M resized to the full frame; ``'soft'``: I
            times P scaled to [0, 1]. Defaults to ``'keep'``.
        threshold (str | float | tuple): See :func:`discrepancy_mask`.
            Defaults to ``'mean'``.
        area (tuple[float, float]): Bounds of the fraction of the image
            that M keeps. Defaults to (0.1, 0.9). ``'soft'`` has no mask and
            ignores ``threshold`` and ``area``.

    Raises:
        ValueError: For an unknown mode or threshold, or unusable bounds.

    Source: SSDP of the paper; the modes are choices.

    Example:
        ::

            default_hooks = dict(ssdp=dict(
                type='SSDPHook',
                view=dict(type='DiscrepancyMaskView', mode='erase')))
    """

    needs_pattern_map = True

    def __init__(
        self,
        mode: str = 'keep',
        threshold: Threshold = 'mean',
        area: Tuple[float, float] = (0.1, 0.9)
    ) -> None:
        if mode not in MODES:
            raise ValueError(f'DiscrepancyMaskView: unknown mode={mode!r}; '
                             f'choose one of {", ".join(MODES)}.')
        level = threshold
        if isinstance(threshold, (tuple, list)) and len(threshold) == 2:
            level = threshold[1] if threshold[0] == 'quantile' else None
        if level != 'mean' and not (isinstance(level, float)
                                    and 0 < level < 1):
            raise ValueError(
                f'DiscrepancyMaskView: unknown threshold={threshold!r}; use '
                "'mean', a number between 0 and 1 (on the map scaled to "
                "[0, 1]) or ('quantile', number between 0 and 1).")
        if not (len(area) == 2 and 0 < area[0] < area[1] < 1):
            raise ValueError(
                f'DiscrepancyMaskView: area={tuple(area)} must be two '
                'numbers with 0 < low < high < 1.')
        self.mode = mode
        self.threshold = threshold
        self.area = tuple(area)

    def mask(self, pattern: torch.Tensor, size: Tuple[int,
                                                      int]) -> torch.Tensor:
        """Binarize with this view's settings, see :func:`discrepancy_mask`."""
        return discrepancy_mask(pattern, size, self.threshold, self.area)

    @property
    def keeps_equal_cells(self) -> bool:
        """Whether the number of cells that are kept is known beforehand."""
        return self.mode in ('keep', 'erase') and isinstance(
            self.threshold, (tuple, list))

    @torch.no_grad()
    def kept_cells(self, pattern: torch.Tensor) -> torch.Tensor:
        """Choose the cells of the map that the second view keeps.

        The cells are ranked by P, ties by position. Of n cells M holds the
        best ``round((1 - q) * n)``, or as near to it as ``area`` allows;
        ``'erase'`` keeps the others.

        Args:
            pattern (Tensor): (B, h, w), with ``threshold=('quantile', q)``
                and ``mode`` ``'keep'`` or ``'erase'``.

        Returns:
            Tensor: (B, k), int64, numbered row by row; k is that of all maps
            of this size.

        Raises:
            ValueError: As :func:`discrepancy_mask`.
        """
        grid = pattern.shape[1:]
        least, most = _pixel_bounds(grid, grid, self.area)
        masked = round((1 - self.threshold[1]) * grid.numel())
        masked = min(max(masked, least), most)
        order = pattern.flatten(1).argsort(dim=1, descending=True, stable=True)
        return order[:, masked:] if self.mode == 'erase' else order[:, :masked]

    @torch.no_grad()
    def __call__(
        self,
        images: torch.Tensor,
        pattern: torch.Tensor,
        labels: Optional[torch.Tensor] = None
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Make the second view of a batch.

        Args:
            images (Tensor): (B, 3, H, W), normalized.
            pattern (Tensor): (B, h, w), the images' pattern maps.
            labels (Tensor, optional): Not used by this view.

        Returns:
            tuple[Tensor, Tensor]: The second view, like ``images``, and the
            fraction of each image that it keeps, (B, ) float32.

        Raises:
            ValueError: As :func:`discrepancy_mask`.
        """
        size = images.shape[-2:]
        if self.mode == 'soft':
            _check_grid(pattern.shape[1:])
            weights = _unit_range(_upsample(_lift(pattern.float()), size))
            return images * weights[:, None].to(images), weights.mean((1, 2))
        mask = self.mask(pattern, size)
        if self.mode == 'crop':
            box = _bounding_box(mask)
            kept = (box[:, 1] - box[:, 0]) * (box[:, 3] - box[:, 2])
            return crop_resize(images, box), kept
        if self.mode == 'erase':
            mask = ~mask
        return images * mask[:, None], mask.float().mean(dim=(1, 2))
