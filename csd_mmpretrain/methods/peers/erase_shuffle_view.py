"""The second view of CLE-ViT: a rectangle erased, four quadrants shuffled."""
import math
from typing import Optional, Tuple

import torch
from mmpretrain.registry import MODELS


@MODELS.register_module()
class EraseShuffleView:
    """Erase one random rectangle of each image, then shuffle its quadrants.

    The comparison for :class:`DiscrepancyMaskView`: it knows nothing of the
    content. Erased pixels become 0, the mean colour after normalisation. Of
    an odd height or width the last row or column stays in place.

    Args:
        area (tuple[float, float]): Bounds of the erased share of the image.
            Defaults to (0.15, 0.45).
        aspect (tuple[float, float]): Bounds of the rectangle's height over
            its width, drawn uniformly in the logarithm and limited so that
            the rectangle fits. Defaults to (0.3, 3.3).

    Raises:
        ValueError: If the bounds are not ordered, or an area is not in
            (0, 1).

    Source: CLE-ViT (IJCAI 2023); the bounds of ``aspect`` are a choice.

    Example:
        ::

            default_hooks = dict(ssdp=dict(
                type='SSDPHook', view=dict(type='EraseShuffleView')))
    """

    needs_pattern_map = False

    def __init__(
        self,
        area: Tuple[float, float] = (0.15, 0.45),
        aspect: Tuple[float, float] = (0.3, 3.3)
    ) -> None:
        if not 0 < area[0] <= area[1] < 1:
            raise ValueError(f'EraseShuffleView: area={tuple(area)} must be '
                             'two numbers with 0 < low <= high < 1.')
        if not 0 < aspect[0] <= aspect[1]:
            raise ValueError(f'EraseShuffleView: aspect={tuple(aspect)} must '
                             'be two numbers with 0 < low <= high.')
        self.area = tuple(area)
        self.aspect = tuple(aspect)

    @torch.no_grad()
    def __call__(
        self,
        images: torch.Tensor,
        pattern: Optional[torch.Tensor] = None,
        labels: Optional[torch.Tensor] = None
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Make the second view of a batch.

        Args:
            images (Tensor): (B, 3, H, W), normalised.
            pattern (Tensor, optional): Not used by this view.
            labels (Tensor, optional): Not used by this view.

        Returns:
            tuple[Tensor, Tensor]: The second view, like ``images``, and the
            share of each image that it keeps, (B, ) float32.
        """
        keep = ~self._rectangles(images)
        erased = images * keep[:, None]
        return self._shuffle(erased), keep.float().mean(dim=(1, 2))

    def _rectangles(self, images: torch.Tensor) -> torch.Tensor:
        """Draw one rectangle per image: (B, H, W), True inside."""
        batch, _, height, width = images.shape
        area, aspect, top, left = torch.rand(
            4, batch, device=images.device).unbind()
        low, high = self.area
        area = (low + (high - low) * area) * height * width
        low, high = map(math.log, self.aspect)
        aspect = (low + (high - low) * aspect).exp()
        # Neither side may outgrow the image.
        rows = (area * aspect).sqrt().clamp(max=height)
        rows = torch.maximum(rows, area / width)
        cols = (area / rows).round().clamp(1, width)
        rows = rows.round().clamp(1, height)
        top = (top * (height - rows + 1)).floor()[:, None]
        left = (left * (width - cols + 1)).floor()[:, None]
        y = torch.arange(height, device=images.device)
        x = torch.arange(width, device=images.device)
        in_rows = (y >= top) & (y < top + rows[:, None])
        in_cols = (x >= left) & (x < left + cols[:, None])
        return in_rows[:, :, None] & in_cols[:, None, :]

    @staticmethod
    def _shuffle(images: torch.Tensor) -> torch.Tensor:
        """Permute the quadrants of each image at random."""
        batch, channels, height, width = images.shape
        h, w = height // 2, width // 2
        quadrants = images[..., :2 * h, :2 * w].unflatten(2, (2, h)).unflatten(
            4, (2, w)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
        order = torch.rand(batch, 4, device=images.device).argsort(dim=1)
        rows = torch.arange(batch, device=images.device)[:, None]
        shuffled = quadrants[rows, order].unflatten(1, (2, 2))
        out = images.clone()
        out[..., :2 * h, :2 * w] = shuffled.permute(0, 3, 1, 4, 2, 5).reshape(
            batch, channels, 2 * h, 2 * w)
        return out
