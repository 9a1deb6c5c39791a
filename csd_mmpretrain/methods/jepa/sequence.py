"""What is predicted from what: contexts and targets made of parts."""
from typing import NamedTuple, Tuple

import torch
import torch.nn.functional as F

ORDERS = ('falling', 'rising', 'random', 'spatial')


class Targets(NamedTuple):
    """C contexts of an image, and T targets to predict from each.

    Attributes:
        context (Tensor): (B, C, hw), bool: the patches that are seen.
        target (Tensor): (B, C, T, hw), bool: the patches that are predicted.
    """

    context: torch.Tensor
    target: torch.Tensor

    @property
    def valid(self) -> torch.Tensor:
        """(B, C, T), bool: both context and target have patches."""
        return self.context.any(-1, keepdim=True) & self.target.any(-1)


def flat(parts: torch.Tensor) -> Targets:
    """Predict each part from the first one.

    Args:
        parts (Tensor): (B, N, hw), bool.

    Returns:
        Targets: With C = 1 and T = N - 1.

    Source: I-JEPA.
    """
    return Targets(parts[:, :1], parts[:, None, 1:])


def sequential(parts: torch.Tensor) -> Targets:
    """Predict each part from all those before it.

    Args:
        parts (Tensor): (B, N, hw), bool. Empty ones are passed over. Of parts
            that overlap, what is seen already is not predicted.

    Returns:
        Targets: With C = N - 1 and T = 1.

    Source: DSeq-JEPA, sequence.
    """
    seen = parts[:, :-1].cumsum(1) > 0
    return Targets(seen, (parts[:, 1:] & ~seen)[:, :, None])


def pad(targets: Targets, contexts: int, count: int) -> Targets:
    """Append empty contexts and targets.

    Args:
        targets (Targets): What there is.
        contexts (int): C afterwards.
        count (int): T afterwards.

    Returns:
        Targets: Of the new size.
    """
    context, target = targets
    more = contexts - target.size(1)
    return Targets(
        F.pad(context, (0, 0, 0, more)),
        F.pad(target, (0, 0, 0, count - target.size(2), 0, more)))


def reorder(regions: torch.Tensor, order: str,
            draws: torch.Tensor) -> torch.Tensor:
    """Change the order of regions; empty ones and the background stay last.

    Args:
        regions (Tensor): (B, N, hw), bool, by falling saliency, the
            background last.
        order (str): ``'falling'``, ``'rising'``, ``'random'``, or
            ``'spatial'``: by their first patch, row by row.
        draws (Tensor): (B, N - 1), uniform in [0, 1), for ``'random'``.

    Returns:
        Tensor: (B, N, hw), bool.
    """
    if order == 'falling':
        return regions
    salient = regions[:, :-1]
    rank = dict(
        rising=-torch.arange(salient.size(1), device=regions.device).expand(
            salient.shape[:2]).float(),
        random=draws,
        spatial=salient.int().argmax(-1).float())[order]
    rank = rank.masked_fill(~salient.any(-1), float('inf'))
    index = rank.argsort(dim=1, stable=True)[..., None].expand_as(salient)
    return torch.cat([salient.gather(1, index), regions[:, -1:]], 1)


def first_kept(mask: torch.Tensor,
               longest: int) -> Tuple[torch.Tensor, torch.Tensor]:
    """List the places of a mask, padded to one length.

    Args:
        mask (Tensor): (B, hw), bool.
        longest (int): k, the most places of a row.

    Returns:
        tuple[Tensor, Tensor]: (B, k), int64, places, none of them twice; and
        (B, k), bool: which of them are in the mask, first in each row.
    """
    order = mask.byte().argsort(
        dim=1, descending=True, stable=True)[:, :longest]
    return order, mask.gather(1, order)
