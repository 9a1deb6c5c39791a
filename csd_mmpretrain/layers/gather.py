"""A batch over all ranks: its parts gathered, and the weight of one rank."""
from typing import Sequence, Tuple, Union

import torch
from mmengine.dist import all_gather, all_reduce, get_world_size


@torch.no_grad()
def gather_batch(
        features: torch.Tensor,
        labels: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Concatenate features and labels of all ranks, in rank order.

    Args:
        features (Tensor): (n, ...); n may differ between ranks.
        labels (Tensor): (n, ), int64.

    Returns:
        tuple[Tensor, Tensor]: (N, ...) and (N, ), no copies if one process.
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

    DDP averages the gradients of the ranks. Each rank's mean, times
    ``size * ranks / total``, gives the gradients of the mean over all images.

    Args:
        size (int): Images on this rank.
        like (Tensor): The weight has its dtype and device.

    Returns:
        int | Tensor: The weight, a scalar; 1 in a single process.
    """
    world = get_world_size()
    if world == 1:
        return 1
    total = torch.full((), size, device=like.device)
    all_reduce(total)
    return size * world / total.to(like)
