"""Gathering a batch over all ranks, without gradient."""
from typing import Tuple

import torch
from mmengine.dist import all_gather, get_rank, get_world_size


@torch.no_grad()
def gather_batch(features: torch.Tensor,
                 labels: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor, int]:
    """Concatenate features and labels of all ranks, in rank order.

    Ranks may hold batches of different sizes. In a single process nothing is
    copied and nothing waits.

    Args:
        features (Tensor): (n, C).
        labels (Tensor): (n, ), int64, none of them negative.

    Returns:
        tuple[Tensor, Tensor, int]: The features (N, C) and labels (N, ) of
        all ranks, and the place in them of this rank's first entry.
    """
    if get_world_size() == 1:
        return features, labels, 0
    sizes = torch.cat(all_gather(labels.new_tensor([len(labels)]))).tolist()
    missing = max(sizes) - len(labels)
    padded = torch.cat([features, features.new_zeros(missing, *features.shape[1:])])
    padded_labels = torch.cat([labels, labels.new_zeros(missing)])
    features = torch.cat([
        part[:size] for part, size in zip(all_gather(padded.contiguous()), sizes)
    ])
    labels = torch.cat([
        part[:size] for part, size in zip(all_gather(padded_labels), sizes)
    ])
    return features, labels, sum(sizes[:get_rank()])
