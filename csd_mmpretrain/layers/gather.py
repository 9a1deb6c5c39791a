"""A batch over all ranks: its parts gathered, and the weight of one rank."""
from typing import Any, Sequence, Tuple, Union

import torch
from mmengine.dist import all_gather, all_reduce, get_rank, get_world_size


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


def whole_batch(features: torch.Tensor, labels: torch.Tensor
                ) -> Tuple[torch.Tensor, torch.Tensor]:
    """Gather a batch of all ranks for a loss that compares its images.

    Every rank computes the loss of the whole batch. Its gradient goes to the
    rank's own features, times the number of ranks, so that DDP's mean is the
    gradient of one process with the whole batch. The images stand in the
    order that mmengine's samplers would give one process: the first of each
    rank, the second of each rank, and so on.

    Args:
        features (Tensor): (n, C), floating; n may differ between ranks.
        labels (Tensor): (n, ), int64.

    Returns:
        tuple[Tensor, Tensor]: (N, C) and (N, ), the same on every rank.
    """
    world = get_world_size()
    if world == 1:
        return features, labels
    size = labels.new_full((1, ), len(labels))
    sizes = torch.cat(all_gather(size)).tolist()
    # Sorted by the place within the rank; the sort keeps ranks in order.
    places = torch.cat([torch.arange(n) for n in sizes])
    order = places.argsort(stable=True).to(labels.device)
    start = sum(sizes[:get_rank()])
    rows = _OwnRows.apply(features, sizes, start)
    return rows[order], _gather_uneven(labels, sizes)[order]


def whole_sum(values: torch.Tensor) -> torch.Tensor:
    """Add up values of all ranks, for a loss that is no mean over images.

    As with :func:`whole_batch`, DDP's mean of the gradients is the gradient
    of one process.

    Args:
        values (Tensor): (n,), floating; the own sums.

    Returns:
        Tensor: (n,), the same on every rank.
    """
    return whole_batch(values[None], torch.zeros(1, dtype=torch.int64,
                                                 device=values.device)
                       )[0].sum(0)


class _OwnRows(torch.autograd.Function):
    """Rows of all ranks, of which the own ones have a gradient."""

    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, sizes: Sequence[int],
                start: int) -> torch.Tensor:
        ctx.own = slice(start, start + len(features))
        return _gather_uneven(features, sizes)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple:
        return get_world_size() * grad[ctx.own], None, None


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
