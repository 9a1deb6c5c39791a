"""DDL: margin contrastive loss between features and a queue of past ones."""
import math
from typing import Dict, Iterator, Optional, Sequence, Tuple

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import nn

from csd_mmpretrain.layers.feature_queue import FeatureQueue
from csd_mmpretrain.layers.gather import gather_batch
from csd_mmpretrain.layers.unit_vectors import check_margin, unit_vectors

NEGATIVES = ('all', 'violating')
# Temporaries of one block of keys: on a CPU they stay in its cache.
BLOCK_BYTES = dict(cpu=2**20, other=2**26)
Keys = Tuple[torch.Tensor, torch.Tensor]


def queue_contrast(anchors: torch.Tensor,
                   labels: torch.Tensor,
                   keys: Sequence[Keys],
                   margin: float = 0.4,
                   negatives: str = 'all'
                   ) -> Tuple[torch.Tensor, torch.Tensor]:
    r"""The loss of each anchor against fixed keys.

    .. math::
        L_i = \frac{1}{|P_i|} \sum_{j \in P_i} (1 - a_i \cdot k_j)
            + \frac{1}{|N_i|} \sum_{j \in N_i} \max(0, a_i \cdot k_j - \xi)

    A term without partners is 0. As the keys are fixed, the loss is linear in
    the anchor between the kinks, with a weighted sum of keys as its gradient:

    .. math::
        g_i = \sum_j w_{ij} k_j, \quad
        L_i = a_i \cdot g_i + [P_i \ne \emptyset] - \xi \sum_{j \in N_i} w_{ij}

    with :math:`w_{ij} = -1 / |P_i|` for positives, :math:`1 / |N_i|` for
    negatives above the margin, 0 otherwise. The sum is formed block by block,
    so nothing of the size of the keys is made or kept: two matrix products, of
    the anchors with the keys and of the weights with the keys. ``'violating'``
    needs half a product more, as it knows :math:`|N_i|` only at the end.

    Args:
        anchors (Tensor): (V, B, C), unit vectors, V views of B images.
        labels (Tensor): (B, ), int64, of the images.
        keys (Sequence[tuple]): Pairs of unit vectors (K, C) and their labels
            (K, ), of which -1 marks no key. Each anchor is a key too, once,
            and is left out of its own sums.
        margin (float): The paper's xi. Defaults to 0.4.
        negatives (str): The mean of the second term is over ``'all'``
            negatives or over the ``'violating'`` ones, which lie above the
            margin. Defaults to ``'all'``.

    Returns:
        tuple[Tensor, Tensor]: L of each anchor, (V, B), differentiable by the
        anchors, and the number of positives, (B, ).

    Source: L_qc of the paper; the margin form is a choice.
    """
    grad, offset, positives = _weighted_keys(anchors.detach(), labels, keys,
                                             margin, negatives)
    return (anchors * grad).sum(-1) + offset, positives


@torch.no_grad()
def _weighted_keys(anchors: torch.Tensor, labels: torch.Tensor,
                   keys: Sequence[Keys], margin: float, negatives: str
                   ) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute g, the loss without a * g, and the number of positives."""
    rows = anchors.flatten(0, 1)
    blocks = list(_blocks(keys, rows))
    same = sum((labels[:, None] == found).sum(1) for _, found in blocks)
    known = sum((found >= 0).sum() for _, found in blocks)
    positives = same - 1
    pull = ((positives > 0) / positives.clamp(min=1)).to(anchors)[:, None]
    push = (1 / (known - same).clamp(min=1)).to(anchors)[:, None]
    late = negatives == 'violating'
    factors = (torch.zeros_like(pull), torch.ones_like(push)) if late else (
        -pull, push)

    grad = torch.zeros_like(rows)
    total = torch.zeros_like(anchors[..., 0])
    attracted = rows.new_zeros(len(labels), rows.size(1))
    for features, found in blocks:
        positive = labels[:, None] == found
        level = torch.where(found < 0, math.inf, margin)
        level = torch.where(positive, -math.inf, level)
        weights = (rows @ features.t()).view(*total.shape, -1)
        weights.gt_(level).mul_(torch.where(positive, *factors))
        total += weights.sum(-1)
        grad.addmm_(weights.flatten(0, 1), features)
        if late:
            attracted.addmm_(positive.to(features), features)
    grad = grad.view_as(anchors)
    if late:
        count = total.clamp(min=1)
        grad = grad / count[..., None] - pull * attracted
        total = total / count - pull[:, 0] * same
    # Each anchor is a key of its own class: take it out of its sums.
    grad = grad + pull * anchors
    total = total + pull[:, 0]
    attracts = (positives > 0).to(anchors)
    return grad, attracts - margin * (total + attracts), positives


def _blocks(keys: Sequence[Keys], rows: torch.Tensor) -> Iterator[Keys]:
    """Split the keys so that (rows x keys) stays below BLOCK_BYTES."""
    limit = BLOCK_BYTES.get(rows.device.type, BLOCK_BYTES['other'])
    size = max(1, limit // (rows.element_size() * len(rows)))
    for features, labels in keys:
        yield from zip(features.split(size), labels.split(size))


@MODELS.register_module()
class DDLQueueLoss(BaseModule):
    """Contrast a batch's features with itself and with a queue of past ones.

    Anchors are both views of the batch. Keys are the queue and both views of
    the whole batch (over all ranks), without the anchor itself and without
    gradient. After the loss, a batch in training enters the queue. All in
    float32.

    Args:
        feat_dim (int): Channels C of the features, those of the neck.
        queue_len (int): Length of the queue, the paper's iota; about one
            epoch of training images. Defaults to 1024.
        margin (float): The paper's xi, a cosine. Defaults to 0.4.
        negatives (str): ``'all'`` or ``'violating'``, see
            :func:`queue_contrast`. Defaults to ``'all'``.
        enqueue (str): Which features are remembered: those of the ``'raw'``
            view, or of ``'both'``. Defaults to ``'raw'``.
        projector (int, optional): Channels of a two-layer projector in front
            of the loss. Defaults to None, no projector.
        loss_weight (float): The paper's alpha. Defaults to 1.0.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        ValueError: For a queue length below 1, a margin outside [-1, 1] or
            an unknown option.

    Source: DDL of the paper; the form of the loss, ``negatives``,
    ``enqueue`` and ``projector`` are choices.

    Example:
        >>> import torch
        >>> loss = DDLQueueLoss(feat_dim=8, queue_len=16)
        >>> views = torch.rand(2, 4, 8)
        >>> sorted(loss(views, torch.tensor([0, 0, 1, 2])))
        ['ddl_positives', 'loss_qc']
    """

    def __init__(self,
                 feat_dim: int,
                 queue_len: int = 1024,
                 margin: float = 0.4,
                 negatives: str = 'all',
                 enqueue: str = 'raw',
                 projector: Optional[int] = None,
                 loss_weight: float = 1.0,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        check_margin('DDLQueueLoss', margin)
        for name, value, known in (('negatives', negatives, NEGATIVES),
                                   ('enqueue', enqueue, ('raw', 'both'))):
            if value not in known:
                raise ValueError(f'DDLQueueLoss: unknown {name}={value!r}; '
                                 f'choose one of {", ".join(known)}.')
        self.margin = margin
        self.negatives = negatives
        self.enqueue = enqueue
        self.loss_weight = loss_weight
        self.projector = nn.Identity() if projector is None else nn.Sequential(
            nn.Linear(feat_dim, feat_dim), nn.ReLU(inplace=True),
            nn.Linear(feat_dim, projector))
        self.queue = FeatureQueue(queue_len, projector or feat_dim,
                                  per_image=2 if enqueue == 'both' else 1)
        self.feat_dim = feat_dim

    def forward(self, views: torch.Tensor,
                labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Compute the loss, then remember the batch, if in training.

        Args:
            views (Tensor): (V, B, C), the features of V = 1 or 2 views, the
                raw view first.
            labels (Tensor): (B, ), int64.

        Returns:
            dict: ``loss_qc``, the mean over this rank's anchors, and
            ``ddl_positives``, the mean number of positives of an anchor that
            come from the queue.

        Raises:
            ValueError: If the features do not have ``feat_dim`` channels.
        """
        if views.size(-1) != self.feat_dim:
            raise ValueError(
                f'DDLQueueLoss: feat_dim={self.feat_dim}, but the features '
                f'have {views.size(-1)} channels. Set `feat_dim` to the '
                "neck's channels.")
        with torch.autocast(views.device.type, enabled=False):
            views = unit_vectors(self.projector(views.float()))
            return self._contrast(views, labels)

    def extra_repr(self) -> str:
        return f'queue {self.queue.length}, margin {self.margin}'

    def _contrast(self, views: torch.Tensor,
                  labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        keys, key_labels = gather_batch(views.detach().transpose(0, 1), labels)
        keys = keys.transpose(0, 1).flatten(0, 1)
        num_views = len(views)
        all_labels = key_labels.repeat(num_views)
        loss, positives = queue_contrast(
            views, labels,
            [(self.queue.features, self.queue.labels), (keys, all_labels)],
            self.margin, self.negatives)
        in_batch = (labels[:, None] == all_labels).sum(1) - 1
        if self.training:
            kept = len(keys) if self.enqueue == 'both' else len(key_labels)
            self.queue.enqueue(keys[:kept], all_labels[:kept])
        return dict(
            loss_qc=self.loss_weight * loss.mean(),
            ddl_positives=(positives - in_batch).sum() / len(labels))
