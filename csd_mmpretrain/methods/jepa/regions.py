"""Regions of an image, by what its class token looks at."""
import math
from typing import Tuple

import torch
import torch.nn.functional as F


def saliency(tokens: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    r"""Rate each patch by its product with a query: :math:`z q / \sqrt{D}`.

    Args:
        tokens (Tensor): z, (B, hw, D), normed tokens of the patches.
        query (Tensor): q, (D, ) or (B, D).

    Returns:
        Tensor: (B, hw).

    Source: DSeq-JEPA, saliency.
    """
    query = query.reshape(-1, query.size(-1), 1)
    return (tokens @ query).squeeze(-1) / math.sqrt(tokens.size(-1))


def min_max(x: torch.Tensor, eps: float = 1e-6) -> torch.Tensor:
    """Scale each row to 0 to 1; a constant row becomes 0.

    Args:
        x (Tensor): (B, n).
        eps (float): Added to the range. Defaults to 1e-6.

    Returns:
        Tensor: (B, n).
    """
    low, high = x.aminmax(dim=1, keepdim=True)
    return (x - low) / (high - low + eps)


def otsu_threshold(levels: torch.Tensor) -> torch.Tensor:
    """Find the gray level that divides dark from bright best.

    It maximizes the variance between both classes; of equal levels it is the
    lowest. What is above it is bright.

    Args:
        levels (Tensor): (B, n), int64, 0 to 255.

    Returns:
        Tensor: (B, ), int64.

    Source: Otsu (1979). The counts are whole numbers, so that levels between
    which no pixel lies are exactly equal.
    """
    ones = torch.ones_like(levels)
    count = torch.zeros(
        len(levels), 256, dtype=torch.int64,
        device=levels.device).scatter_add_(1, levels, ones)
    number = count.cumsum(1)
    total = (count * torch.arange(256, device=levels.device)).cumsum(1)
    pixels, rest = levels.size(1), levels.size(1) - number
    difference = (total[:, -1:] * number - total * pixels).double()
    between = difference.square() / (number * rest).clamp(min=1)
    return between.argmax(1)


def connected_components(mask: torch.Tensor) -> torch.Tensor:
    """Label the 8-connected components of masks, without a device wait.

    Each round, a component's root takes the highest label around its patches,
    and all patches follow their roots. Of two neighboring trees at least one
    hooks to another within two rounds, so that their number halves. A CPU,
    which can look without waiting, stops as soon as nothing changes.

    Args:
        mask (Tensor): (B, h, w), bool.

    Returns:
        Tensor: (B, h, w), int64: 0 outside the mask, else h * w less the
        place of the component's first patch, row by row.

    Example:
        >>> import torch
        >>> connected_components(torch.eye(2, dtype=torch.bool)[None])
        tensor([[[4, 0],
                 [0, 4]]])
    """
    batch, height, width = mask.shape
    inside = mask.flatten(1)
    root = torch.arange(height * width + 1, device=mask.device)
    labels = torch.where(inside, root[1:].flip(0), 0)
    root = root.repeat(batch, 1)
    halvings = math.ceil(
        math.log2(max(2, (height + 1) // 2 * ((width + 1) // 2))))
    for _ in range(2 * halvings + 1):
        around = F.max_pool2d(
            labels.view(batch, 1, height, width).float(), 3, 1, 1)
        around = torch.where(inside, around.flatten(1).long(), 0)
        if mask.is_cpu and torch.equal(around, labels):
            break
        root = root.scatter_reduce(1, labels, around, 'amax')
        for _ in range(halvings):
            root = root.gather(1, root)
        labels = root.gather(1, labels)
    return labels.view_as(mask)


def salient_regions(
        scores: torch.Tensor, grid: Tuple[int, int], num_regions: int = 5,
        min_area: float = 0.15) -> Tuple[torch.Tensor, torch.Tensor]:
    """Divide a grid into bright regions and the rest, the background.

    Bright is what lies above Otsu's threshold. Its 8-connected components of
    at least ``min_area`` are ranked by their mean saliency.

    Args:
        scores (Tensor): (B, hw), saliency.
        grid (tuple[int]): h and w.
        num_regions (int): N, with the background. Defaults to 5.
        min_area (float): Smallest area of a region, a fraction of the grid.
            Defaults to 0.15.

    Returns:
        tuple[Tensor, Tensor]: (B, N, hw), bool: at most N - 1 components,
        the brightest first, then empty rows, the background last; and
        (B, N), the mean of their scaled saliency, 0 of empty ones.

    Source: DSeq-JEPA, discriminative regions.
    """
    scaled = min_max(scores)
    levels = (scaled * 255).long()
    bright = levels > otsu_threshold(levels)[:, None]
    labels = connected_components(bright.unflatten(1, grid)).flatten(1)
    size = labels.size(1)
    zeros = scaled.new_zeros(len(labels), size + 1)
    area = zeros.scatter_add(1, labels, torch.ones_like(scaled))
    mean = zeros.scatter_add(1, labels, scaled) / area.clamp(min=1)
    large = area >= math.ceil(min_area * size)  # in any dtype
    large[:, 0] = False
    # The first component of equal ones comes first: by falling labels.
    rank = torch.where(large, mean, -1.).flip(1)
    best, order = rank.sort(dim=1, descending=True, stable=True)
    best, order = best[:, :num_regions - 1], order[:, :num_regions - 1]
    found = (size - order).masked_fill(best < 0, -1)
    regions = labels[:, None] == found[..., None]
    regions = F.pad(regions, (0, 0, 0, num_regions - 1 - found.size(1)))
    regions = torch.cat([regions, ~regions.any(1, keepdim=True)], 1)
    return regions, region_means(scaled, regions)


def region_means(scores: torch.Tensor,
                 regions: torch.Tensor) -> torch.Tensor:
    """Average a score over regions, 0 over empty ones.

    Args:
        scores (Tensor): (B, hw).
        regions (Tensor): (B, N, hw), bool.

    Returns:
        Tensor: (B, N).
    """
    regions = regions.to(scores)
    total = (regions @ scores[..., None]).squeeze(-1)
    return total / regions.sum(-1).clamp(min=1)
