"""Which patches the networks of a step get."""
from typing import NamedTuple, Optional

import torch

from .sequence import Targets, first_kept


class StepPlan(NamedTuple):
    """The contexts of a batch that have targets, and these targets.

    Attributes:
        image (Tensor): (C, ), int64: the image of each context.
        context (Tensor): (C, n), int64: its patches, padded.
        context_valid (Tensor): (C, n), bool: which are no padding.
        pair (Tensor): (T, ), int64: the context of each target.
        target (Tensor): (T, m), int64: its patches, padded.
        target_valid (Tensor): (T, m), bool: which are no padding.
        count (int): Patches to predict.
    """

    image: torch.Tensor
    context: torch.Tensor
    context_valid: torch.Tensor
    pair: torch.Tensor
    target: torch.Tensor
    target_valid: torch.Tensor
    count: int


def plan_step(targets: Targets, device: torch.device) -> Optional[StepPlan]:
    """List contexts and targets, so that each context is encoded once.

    Args:
        targets (Targets): Of a batch.
        device (torch.device): That of the networks.

    Returns:
        StepPlan | None: None if there is nothing to predict.
    """
    valid = targets.valid
    image, step = valid.any(-1).nonzero(as_tuple=True)
    pair, goal = valid[image, step].nonzero(as_tuple=True)
    if not len(pair):
        return None
    context = targets.context[image, step]
    target = targets.target[image[pair], step[pair], goal]
    seen = first_kept(context, context.sum(1).max())
    hidden = first_kept(target, target.sum(1).max())
    return StepPlan(*(x.to(device) for x in (
        image, *seen, pair, *hidden)), count=int(target.sum()))
