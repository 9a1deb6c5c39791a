"""Second views that chance alone makes, whatever the image shows."""
import math
from typing import Sequence, Tuple

import torch
from mmpretrain.registry import MODELS

from csd_mmpretrain.layers.crop_resize import crop_resize


@MODELS.register_module()
class EraseShuffleView:
    """CLE-ViT's view: a random rectangle erased, then the quadrants shuffled.

    Erased pixels become 0, the mean color after normalization. Of an odd
    height or width the last row or column stays in place.

    Args:
        area (tuple[float, float]): Bounds of the erased fraction of the
            image. Defaults to (0.15, 0.45).
        aspect (tuple[float, float]): Bounds of the rectangle's height over
            its width, log-uniform and limited so that the rectangle fits.
            Defaults to (0.3, 3.3).

    Raises:
        ValueError: If bounds are not ordered, or an area is not in (0, 1).

    Source: CLE-ViT (IJCAI 2023); the bounds of ``aspect`` are a choice.

    Example:
        ::

            default_hooks = dict(ssdp=dict(
                type='SSDPHook', view=dict(type='EraseShuffleView')))
    """

    needs_pattern_map = False

    def __init__(self,
                 area: Tuple[float, float] = (0.15, 0.45),
                 aspect: Tuple[float, float] = (0.3, 3.3)) -> None:
        if not 0 < area[0] <= area[1] < 1:
            raise ValueError(f'EraseShuffleView: area={tuple(area)} must be '
                             'two numbers with 0 < low <= high < 1.')
        if not 0 < aspect[0] <= aspect[1]:
            raise ValueError(f'EraseShuffleView: aspect={tuple(aspect)} must '
                             'be two numbers with 0 < low <= high.')
        self.area = tuple(area)
        self.aspect = tuple(aspect)

    @torch.no_grad()
    def __call__(self, images: torch.Tensor,
                 *_) -> Tuple[torch.Tensor, torch.Tensor]:
        """Make the views, and their kept fractions (B, ), of (B, 3, H, W)."""
        keep = ~self._rectangles(images)
        view = self._shuffle(images * keep[:, None])
        return view, keep.float().mean(dim=(1, 2))

    def _rectangles(self, images: torch.Tensor) -> torch.Tensor:
        """Draw one rectangle per image: (B, H, W), True inside."""
        batch, _, height, width = images.shape
        area, aspect, top, left = torch.rand(
            4, batch, device=images.device).unbind()
        area = _uniform(area, self.area) * height * width
        aspect = _log_uniform(aspect, self.aspect)
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
        h, w = images.size(2) // 2, images.size(3) // 2
        even = images[..., :2 * h, :2 * w]
        quadrants = even.unflatten(2, (2, h)).unflatten(4, (2, w))
        quadrants = quadrants.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
        order = torch.rand(len(images), 4, device=images.device).argsort(dim=1)
        rows = torch.arange(len(images), device=images.device)[:, None]
        shuffled = quadrants[rows, order].unflatten(1, (2, 2))
        out = images.clone()
        out[..., :2 * h, :2 * w] = shuffled.permute(
            0, 3, 1, 4, 2, 5).reshape(even.shape)
        return out


@MODELS.register_module()
class FreshAugmentView:
    r"""The image, augmented once more, as in two-view learning.

    It augments what the data pipeline has already augmented, so its crop is a
    crop of that crop. Each image has draws of its own:

    - crop: a rectangle at a uniform place, its fraction of the area uniform
      in ``scale``, its width over height in pixels log-uniform in ``ratio``
      and limited so that it fits; resized bilinearly to the image's size;
    - flip: mirrored left to right with probability ``flip``;
    - jitter: :math:`x \leftarrow m + c (x - m) + b` on the normalized values
      of all channels, where m is the image's mean, the contrast c uniform in
      [1 - j, 1 + j] and the brightness b uniform in [-j, j]. Nothing is
      clipped.

    ``scale=(1, 1), flip=0, jitter=0`` returns the very image.

    Args:
        scale (tuple[float, float]): Bounds of the cropped fraction of the
            area. Defaults to (0.5, 1.0).
        ratio (tuple[float, float]): Bounds of the crop's width over its
            height. Defaults to (3/4, 4/3).
        flip (float): Probability of a mirror image. Defaults to 0.5.
        jitter (float): j, in [0, 1]. Defaults to 0.2.

    Raises:
        ValueError: If bounds are not ordered, a fraction is not in (0, 1], or
            ``flip`` or ``jitter`` is not in [0, 1].

    Source: Khosla et al. 2020 contrast two augmentations of an image; crop
    and flip are those of torchvision's RandomResizedCrop without its repeated
    draws; the bounds and the jitter are choices.

    Example:
        >>> import torch
        >>> images, kept = FreshAugmentView()(torch.rand(2, 3, 32, 32))
        >>> images.shape, kept.shape
        (torch.Size([2, 3, 32, 32]), torch.Size([2]))
    """

    needs_pattern_map = False

    def __init__(self,
                 scale: Tuple[float, float] = (0.5, 1.0),
                 ratio: Tuple[float, float] = (3 / 4, 4 / 3),
                 flip: float = 0.5,
                 jitter: float = 0.2) -> None:
        if not (len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1):
            raise ValueError(f'FreshAugmentView: scale={tuple(scale)} must be '
                             'two numbers with 0 < low <= high <= 1.')
        if not (len(ratio) == 2 and 0 < ratio[0] <= ratio[1]):
            raise ValueError(f'FreshAugmentView: ratio={tuple(ratio)} must be '
                             'two numbers with 0 < low <= high.')
        for name, value in (('flip', flip), ('jitter', jitter)):
            if not 0 <= value <= 1:
                raise ValueError(f'FreshAugmentView: {name}={value} must be a '
                                 'number in [0, 1].')
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)
        self.flip = flip
        self.jitter = jitter

    @torch.no_grad()
    def __call__(self, images: torch.Tensor,
                 *_) -> Tuple[torch.Tensor, torch.Tensor]:
        """Make the views, and their kept fractions (B, ), of (B, C, H, W)."""
        area, box = self._boxes(images)
        if self.scale != (1, 1) or self.flip:
            images = crop_resize(images, box)
        if self.jitter:
            images = self._jittered(images)
        return images, area

    def _boxes(self,
               images: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        """Draw each image's crop: its area (B, ) and its edges (B, 4)."""
        batch, _, height, width = images.shape
        area, ratio, top, left, side = torch.rand(
            5, batch, device=images.device).unbind()
        area = _uniform(area, self.scale)
        ratio = _log_uniform(ratio, self.ratio)
        # Neither side may outgrow the image.
        rows = (area * (width / height) / ratio).sqrt().clamp(max=1)
        rows = torch.maximum(rows, area)
        cols = area / rows
        top = top * (1 - rows)
        left = left * (1 - cols)
        mirrored = side < self.flip
        right = left + cols
        return area, torch.stack([
            top, top + rows,
            torch.where(mirrored, right, left),
            torch.where(mirrored, left, right)
        ], dim=1)

    def _jittered(self, images: torch.Tensor) -> torch.Tensor:
        """Draw each image's contrast and brightness, and change them."""
        contrast, brightness = self.jitter * (2 * torch.rand(
            2, len(images), 1, 1, 1, device=images.device) - 1)
        mean = images.float().mean(dim=(1, 2, 3), keepdim=True)
        shift = brightness - contrast * mean
        return images * (1 + contrast).to(images) + shift.to(images)


def _uniform(x: torch.Tensor, bounds: Sequence[float]) -> torch.Tensor:
    """Map draws from [0, 1) to the bounds."""
    low, high = bounds
    return low + (high - low) * x


def _log_uniform(x: torch.Tensor, bounds: Sequence[float]) -> torch.Tensor:
    return _uniform(x, [math.log(bound) for bound in bounds]).exp()
