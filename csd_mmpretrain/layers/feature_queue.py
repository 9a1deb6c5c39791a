"""A ring of past features and their labels."""
import re
from typing import Optional

import torch
from torch import nn

# The names of a queue's tensors in a checkpoint.
QUEUE_KEY = re.compile(r'(^|\.)queue\.(features|labels|images|ptr)$')


class FeatureQueue(nn.Module):
    """First in, first out memory of features and labels.

    All of it is persistent buffers, saved with the checkpoint.

    Args:
        length (int): How many features it holds.
        dim (int): Channels of a feature.
        per_image (int): Features that an image sends to it in an epoch.
            Defaults to 1.
        with_images (bool): Whether it holds the images' numbers, too.
            Defaults to False.

    Attributes:
        features (Tensor): (length, dim), float32.
        labels (Tensor): (length, ), int64; -1 marks an empty place.
        images (Tensor): (length, ), int64, the images' numbers; only with
            ``with_images``.
        ptr (Tensor): int64 scalar, the place that is written next.

    Raises:
        ValueError: If ``length`` or ``dim`` is no positive integer.

    Example:
        >>> import torch
        >>> queue = FeatureQueue(length=4, dim=2)
        >>> queue.enqueue(torch.ones(6, 2), torch.arange(6))
        >>> queue.labels
        tensor([4, 5, 2, 3])
    """

    def __init__(self,
                 length: int,
                 dim: int,
                 per_image: int = 1,
                 with_images: bool = False) -> None:
        super().__init__()
        for name, value in (('queue_len', length), ('feat_dim', dim)):
            if not isinstance(value, int) or value <= 0:
                raise ValueError(
                    f'`{name}` must be a positive integer, but got {value}. '
                    'One epoch of training images is a good queue length.')
        self.length = length
        self.per_image = per_image
        self.register_buffer('features', torch.zeros(length, dim))
        self.register_buffer('labels', torch.full((length, ), -1))
        if with_images:
            self.register_buffer('images', torch.full((length, ), -1))
        self.register_buffer('ptr', torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def enqueue(self,
                features: torch.Tensor,
                labels: torch.Tensor,
                images: Optional[torch.Tensor] = None) -> None:
        """Write over the oldest places.

        Args:
            features (Tensor): (n, dim).
            labels (Tensor): (n, ), int64.
            images (Tensor, optional): (n, ), int64, with ``with_images``.
        """
        n = len(labels)
        kept = min(n, self.length)
        offsets = torch.arange(n - kept, n, device=labels.device)
        places = (self.ptr + offsets) % self.length
        self.features.index_copy_(0, places,
                                  features[n - kept:].to(self.features))
        self.labels.index_copy_(0, places, labels[n - kept:])
        if images is not None:
            self.images.index_copy_(0, places, images[n - kept:])
        self.ptr.add_(n).remainder_(self.length)
