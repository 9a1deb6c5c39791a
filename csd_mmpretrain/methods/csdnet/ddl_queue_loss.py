"""DDL: margin contrastive loss between features and a queue of past ones."""
import math
from typing import Dict, Iterator, Optional, Sequence, Tuple

import torch
from mmpretrain.registry import MODELS

from csd_mmpretrain.layers.unit_vectors import check_margin

from .queue_loss import QueueLoss

NEGATIVES = ('all', 'violating')
# Temporaries of one block of keys: on a CPU they stay in its cache.
BLOCK_BYTES = dict(cpu=2**20, other=2**26)
Keys = Tuple[torch.Tensor, ...]


def queue_contrast(anchors: torch.Tensor,
                   labels: torch.Tensor,
                   keys: Sequence[Keys],
                   margin: float = 0.4,
                   negatives: str = 'all',
                   images: Optional[torch.Tensor] = None
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
        keys (Sequence[tuple]): Unit vectors (K, C), their labels (K, ), of
            which -1 marks no key, and perhaps the numbers of their images
            (K, ), int64. Each anchor is a key too, once, and is left out of
            its own sums.
        margin (float): The paper's xi. Defaults to 0.4.
        negatives (str): The mean of the second term is over ``'all'``
            negatives or over the ``'violating'`` ones, which lie above the
            margin. Defaults to ``'all'``.
        images (Tensor, optional): (B, ), int64, the numbers of the images.
            Keys of the anchor's own number are left out of its sums. Defaults
            to None, all count.

    Returns:
        tuple[Tensor, Tensor]: L of each anchor, (V, B), differentiable by the
        anchors, and the number of positives, (B, ).

    Source: L_qc of the paper; the margin form is a choice.
    """
    grad, offset, positives = _weighted_keys(anchors.detach(), labels, images,
                                             keys, margin, negatives)
    return (anchors * grad).sum(-1) + offset, positives


@torch.no_grad()
def _weighted_keys(anchors: torch.Tensor, labels: torch.Tensor,
                   images: Optional[torch.Tensor], keys: Sequence[Keys],
                   margin: float, negatives: str
                   ) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute g, the loss without a * g, and the number of positives."""
    rows = anchors.flatten(0, 1)
    blocks = list(_blocks(keys, rows))
    same = sum((labels[:, None] == found).sum(1) for _, found, *_ in blocks)
    known = sum((found >= 0).sum() for _, found, *_ in blocks)
    positives = sum(_positive(labels, images, *of).sum(1)
                    for _, *of in blocks) - 1
    pull = ((positives > 0) / positives.clamp(min=1)).to(anchors)[:, None]
    push = (1 / (known - same).clamp(min=1)).to(anchors)[:, None]
    late = negatives == 'violating'
    factors = (torch.zeros_like(pull), torch.ones_like(push)) if late else (
        -pull, push)

    grad = torch.zeros_like(rows)
    total = torch.zeros_like(anchors[..., 0])
    attracted = rows.new_zeros(len(labels), rows.size(1))
    for features, found, *numbers in blocks:
        positive = _positive(labels, images, found, *numbers)
        level = torch.where(found < 0, math.inf, margin)
        if numbers:
            level = torch.where(labels[:, None] == found, math.inf, level)
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
        total = total / count - pull[:, 0] * (positives + 1)
    # Each anchor is a key of its own class: take it out of its sums.
    grad = grad + pull * anchors
    total = total + pull[:, 0]
    attracts = (positives > 0).to(anchors)
    return grad, attracts - margin * (total + attracts), positives


def _positive(labels: torch.Tensor, images: Optional[torch.Tensor],
              found: torch.Tensor, *numbers: torch.Tensor) -> torch.Tensor:
    """Find the keys of the anchor's class, without its own image's, (B, K)."""
    same = labels[:, None] == found
    return same & (images[:, None] != numbers[0]) if numbers else same


def _blocks(keys: Sequence[Keys], rows: torch.Tensor) -> Iterator[Keys]:
    """Split the keys so that (rows x keys) stays below BLOCK_BYTES."""
    limit = BLOCK_BYTES.get(rows.device.type, BLOCK_BYTES['other'])
    size = max(1, limit // (rows.element_size() * len(rows)))
    for key in keys:
        yield from zip(*(part.split(size) for part in key))


@MODELS.register_module()
class DDLQueueLoss(QueueLoss):
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
        own_image (bool): Whether what the queue holds of an anchor's own
            image counts as a positive. False leaves it out; of two views, the
            other one is still a positive. An image is known by its file, or
            without one by its place in the dataset. Defaults to True.
        projector (int, optional): Channels of a two-layer projector in front
            of the loss. Defaults to None, no projector.
        loss_weight (float): The paper's alpha. Defaults to 1.0.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        ValueError: For a queue length below 1, a margin outside [-1, 1] or
            an unknown option.

    Source: DDL of the paper; the form of the loss, ``negatives``,
    ``enqueue``, ``own_image`` and ``projector`` are choices.

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
                 own_image: bool = True,
                 projector: Optional[int] = None,
                 loss_weight: float = 1.0,
                 init_cfg: Optional[dict] = None) -> None:
        check_margin('DDLQueueLoss', margin)
        if negatives not in NEGATIVES:
            raise ValueError(
                f'DDLQueueLoss: unknown negatives={negatives!r}; choose one '
                f'of {", ".join(NEGATIVES)}.')
        super().__init__(feat_dim, queue_len, enqueue, not own_image,
                         projector, loss_weight, init_cfg)
        self.margin = margin
        self.negatives = negatives

    def compare(self, views: torch.Tensor, labels: torch.Tensor,
                images: Optional[torch.Tensor], keys: torch.Tensor,
                key_labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Compute the loss, see :meth:`QueueLoss.compare`.

        Returns:
            dict: ``loss_qc``, the mean over this rank's anchors, and
            ``ddl_positives``, the mean number of positives of an anchor that
            come from the queue.
        """
        queue = self.queue
        remembered = [queue.features, queue.labels]
        if images is not None:
            remembered.append(queue.images)
        loss, positives = queue_contrast(
            views, labels, [remembered, (keys, key_labels)], self.margin,
            self.negatives, images)
        in_batch = (labels[:, None] == key_labels).sum(1) - 1
        return dict(
            loss_qc=self.loss_weight * loss.mean(),
            ddl_positives=(positives - in_batch).sum() / len(labels))

    def extra_repr(self) -> str:
        return f'queue {self.queue.length}, margin {self.margin}'
