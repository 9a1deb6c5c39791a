"""A batch over all ranks: its parts gathered, and the share of one rank."""
from typing import Sequence, Tuple, Union

import torch
from mmengine.dist import all_gather, all_reduce, get_world_size


@torch.no_grad()
def gather_batch(
        features: torch.Tensor,
        labels: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Concatenate features and labels of all ranks, in rank order.

    Ranks may hold batches of different sizes. In a single process nothing is
    copied and nothing waits.

    Args:
        features (Tensor): (n, ...).
        labels (Tensor): (n, ), int64.

    Returns:
        tuple[Tensor, Tensor]: The features (N, ...) and labels (N, ) of all
        ranks.
    """
    if get_world_size() == 1:
        return features, labels
    size = labels.new_full((1, ), len(labels))
    sizes = torch.cat(all_gather(size)).tolist()
    return _gather_uneven(features, sizes), _gather_uneven(labels, sizes)


def _gather_uneven(x: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """Gather what differs in length over the ranks, which NCCL cannot."""
    padding = x.new_zeros(max(sizes) - len(x), *x.shape[1:])
    parts = all_gather(torch.cat([x, padding]))
    return torch.cat([part[:size] for part, size in zip(parts, sizes)])


def batch_share(size: int, like: torch.Tensor) -> Union[int, torch.Tensor]:
    """Weigh a rank by its part of the batch.

    DDP averages the gradients of the ranks. So that they are those of the
    mean over all images, each rank's mean is multiplied by
    ``size * ranks / total``, which is 1 where all batches are of one size.

    Args:
        size (int): Images on this rank.
        like (Tensor): The weight has its dtype and device.

    Returns:
        int | Tensor: The weight, a scalar on the device; 1 in a single
        process, where nothing is sent.
    """
    world = get_world_size()
    if world == 1:
        return 1
    total = torch.full((), size, device=like.device)
    all_reduce(total)
    return size * world / total.to(like)
