"""Crop each image of a batch, and resize the crops to the full frame."""
import torch
import torch.nn.functional as F


def crop_resize(images: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    """Resize one box of each image to the image's size, bilinearly.

    The interpolation reaches over a box's edge into the image, and repeats
    the border beyond the image. Resampled in float32, also under autocast.

    Args:
        images (Tensor): (B, C, H, W), floating.
        box (Tensor): (B, 4), float32: top, bottom, left and right as
            fractions of the height and width, also between pixels. Left and
            right swapped mirror the crop.

    Returns:
        Tensor: Like ``images``.

    Example:
        >>> import torch
        >>> image = torch.arange(4.).expand(1, 1, 2, 4)
        >>> crop_resize(image, torch.tensor([[0, 1, 0.5, 1]]))[0, 0, 0]
        tensor([1.7500, 2.2500, 2.7500, 3.0000])
    """
    top, bottom, left, right = box.unbind(1)
    zero = torch.zeros_like(top)
    theta = torch.stack([
        right - left, zero, right + left - 1,
        zero, bottom - top, bottom + top - 1
    ], dim=1).unflatten(1, (2, 3))
    # Autocast would round the places to bfloat16.
    with torch.autocast(images.device.type, enabled=False):
        grid = F.affine_grid(theta, images.shape, align_corners=False)
        return F.grid_sample(
            images.float(), grid, padding_mode='border',
            align_corners=False).to(images)
