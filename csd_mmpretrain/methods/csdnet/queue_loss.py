"""What losses with a queue of past features have in common."""
from abc import abstractmethod
from typing import Dict, Optional

import torch
from mmengine.model import BaseModule
from torch import nn

from csd_mmpretrain.layers.feature_queue import FeatureQueue
from csd_mmpretrain.layers.gather import gather_batch
from csd_mmpretrain.layers.unit_vectors import unit_vectors


class QueueLoss(BaseModule):
    """Compare a batch with past ones, then remember it.

    A subclass computes its losses in ``compare``. After it, a batch in
    training, of all ranks, enters the queue. All in float32.

    Args:
        feat_dim (int): Channels C of the features, those of the neck.
        queue_len (int): Length of the queue.
        enqueue (str): Which features are remembered: those of the ``'raw'``
            view, or of ``'both'``. Defaults to ``'raw'``.
        with_images (bool): Whether the queue knows which images its features
            are of. Defaults to False.
        projector (int, optional): Channels D of a two-layer projector in
            front of the loss. Defaults to None, no projector: D is C.
        loss_weight (float): Defaults to 1.0.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        ValueError: For a queue length below 1, or an unknown option.
    """

    def __init__(self,
                 feat_dim: int,
                 queue_len: int,
                 enqueue: str = 'raw',
                 with_images: bool = False,
                 projector: Optional[int] = None,
                 loss_weight: float = 1.0,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if enqueue not in ('raw', 'both'):
            raise ValueError(f'{type(self).__name__}: unknown '
                             f'enqueue={enqueue!r}; choose one of raw, both.')
        self.feat_dim = feat_dim
        self.enqueue = enqueue
        self.needs_images = with_images
        self.loss_weight = loss_weight
        self.projector = nn.Identity() if projector is None else nn.Sequential(
            nn.Linear(feat_dim, feat_dim), nn.ReLU(inplace=True),
            nn.Linear(feat_dim, projector))
        self.queue = FeatureQueue(queue_len, projector or feat_dim,
                                  per_image=2 if enqueue == 'both' else 1,
                                  with_images=with_images)

    @abstractmethod
    def compare(self, views: torch.Tensor, labels: torch.Tensor,
                images: Optional[torch.Tensor], keys: torch.Tensor,
                key_labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Compute what the training logs, losses among it.

        Args:
            views (Tensor): (V, B, D), unit vectors, the raw view first.
            labels (Tensor): (B, ), int64.
            images (Tensor, optional): (B, ), int64; with ``with_images``.
            keys (Tensor): (V * N, D), the views of all ranks, no gradient.
            key_labels (Tensor): (V * N, ), theirs.

        Returns:
            dict: Means over this rank's anchors.
        """

    def forward(self,
                views: torch.Tensor,
                labels: torch.Tensor,
                images: Optional[torch.Tensor] = None
                ) -> Dict[str, torch.Tensor]:
        """Compute the loss, then remember the batch, if in training.

        Args:
            views (Tensor): (V, B, C), the features of V = 1 or 2 views, the
                raw view first.
            labels (Tensor): (B, ), int64.
            images (Tensor, optional): (B, ), int64, the images' numbers;
                where ``needs_images`` is True.

        Returns:
            dict: See the subclass.

        Raises:
            ValueError: If the features do not have ``feat_dim`` channels.
        """
        if views.size(-1) != self.feat_dim:
            raise ValueError(
                f'{type(self).__name__}: feat_dim={self.feat_dim}, but the '
                f'features have {views.size(-1)} channels. Set '
                f'model.head.contrast.feat_dim={views.size(-1)}.')
        with torch.autocast(views.device.type, enabled=False):
            views = unit_vectors(self.projector(views.float()))
            marks = (labels, ) if images is None else (labels, images)
            keys, marks = gather_batch(views.detach().transpose(0, 1),
                                       torch.stack(marks, 1))
            keys = keys.transpose(0, 1).flatten(0, 1)
            marks = marks.repeat(len(views), 1)
            losses = self.compare(views, labels, images, keys, marks[:, 0])
            if self.training:
                kept = len(keys) // (1 if self.enqueue == 'both' else
                                     len(views))
                self.queue.enqueue(keys[:kept], *marks[:kept].unbind(1))
        return losses
