"""The second view of two-view learning: the image, augmented once more."""
import math
from typing import Optional, Tuple

import torch
from mmpretrain.registry import MODELS

from csd_mmpretrain.layers.crop_resize import crop_resize


@MODELS.register_module()
class FreshAugmentView:
    r"""Crop, mirror and jitter each image at random, in one batch.

    The control for :class:`DiscrepancyMaskView`: a second view whose only
    difference to the raw one is chance. It augments the image that the data
    pipeline has already augmented, so its crop is a crop of that crop.

    Each image has draws of its own:

    - crop: a rectangle of a share a of the image's area, a uniform in
      ``scale``, its width over height in pixels uniform in the logarithm in
      ``ratio`` and limited so that the rectangle fits, its place uniform;
      resized to the image's size, bilinearly;
    - flip: mirrored left to right with probability ``flip``;
    - jitter: :math:`x \leftarrow m + c (x - m) + b` on the normalised values,
      the same for all channels, where m is the mean over the image's channels
      and pixels, the contrast c uniform in [1 - j, 1 + j] and the brightness
      b uniform in [-j, j], that is up to j standard deviations of the
      normalisation. Nothing is clipped.

    ``scale=(1, 1), flip=0, jitter=0`` returns the very image.

    Args:
        scale (tuple[float, float]): Bounds of the cropped share of the area.
            Defaults to (0.5, 1.0).
        ratio (tuple[float, float]): Bounds of the crop's width over its
            height. Defaults to (3/4, 4/3).
        flip (float): Probability of a mirror image. Defaults to 0.5.
        jitter (float): j, in [0, 1]. Defaults to 0.2.

    Raises:
        ValueError: If bounds are not ordered, a share is not in (0, 1], or
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
    def __call__(
        self,
        images: torch.Tensor,
        pattern: Optional[torch.Tensor] = None,
        labels: Optional[torch.Tensor] = None
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Make the second view of a batch.

        Args:
            images (Tensor): (B, C, H, W), normalised.
            pattern (Tensor, optional): Not used by this view.
            labels (Tensor, optional): Not used by this view.

        Returns:
            tuple[Tensor, Tensor]: The second view, like ``images``, and the
            share of each image that its crop keeps, (B, ) float32.
        """
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
        low, high = self.scale
        area = low + (high - low) * area
        low, high = map(math.log, self.ratio)
        ratio = (low + (high - low) * ratio).exp()
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
