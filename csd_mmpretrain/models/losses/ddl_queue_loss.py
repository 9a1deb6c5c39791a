"""DDL: margin contrastive loss between features and a queue of past ones."""
from typing import Dict, Iterable, Optional, Tuple

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import nn

from ..utils.feature_queue import FeatureQueue
from ..utils.gather import gather_batch
from ..utils.unit_vectors import unit_vectors

NEGATIVES = ('all', 'violating')
Block = Tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@torch.no_grad()
def queue_contrast(anchors: torch.Tensor,
                   blocks: Iterable[Block],
                   margin: float = 0.4,
                   negatives: str = 'all'
                   ) -> Tuple[torch.Tensor, torch.Tensor]:
    r"""The loss of each anchor against fixed keys, with its gradient.

    .. math::
        L_i = \frac{1}{|P_i|} \sum_{j \in P_i} (1 - a_i \cdot k_j)
            + \frac{1}{|N_i|} \sum_{j \in N_i} \max(0, a_i \cdot k_j - \xi)

    A term without partners is 0. As the keys are fixed, the gradient with
    respect to an anchor is a weighted sum of keys, so it is formed here,
    block by block, and nothing of the size of the queue is kept.

    Args:
        anchors (Tensor): (N, C), unit vectors.
        blocks (Iterable[tuple]): Keys in any number of blocks, each of unit
            vectors (K, C) and two (N, K) bool masks, which keys are positives
            and which negatives of which anchor.
        margin (float): The paper's xi. Defaults to 0.4.
        negatives (str): The mean of the second term is over ``'all'``
            negatives or over the ``'violating'`` ones, which lie above the
            margin. Defaults to ``'all'``.

    Returns:
        tuple[Tensor, Tensor]: L of each anchor, (N, ), and dL/danchor,
        (N, C).

    Source: L_qc of the paper; the form is a choice (PAPER: margin form).
    """
    zero = anchors.new_zeros(len(anchors))
    count_pos, count_neg, pull, push = zero, zero, zero, zero
    grad_pull = grad_push = torch.zeros_like(anchors)
    for keys, positive, negative in blocks:
        similarity = anchors @ keys.t()
        excess = (similarity - margin).clamp(min=0).masked_fill(~negative, 0)
        violating = (excess > 0).to(anchors)
        positive = positive.to(anchors)
        counted = violating if negatives == 'violating' else negative
        count_pos = count_pos + positive.sum(1)
        count_neg = count_neg + counted.sum(1)
        pull = pull + (positive * (1 - similarity)).sum(1)
        push = push + excess.sum(1)
        grad_pull = grad_pull - positive @ keys
        grad_push = grad_push + violating @ keys
    count_pos, count_neg = count_pos.clamp(min=1), count_neg.clamp(min=1)
    return (pull / count_pos + push / count_neg,
            grad_pull / count_pos[:, None] + grad_push / count_neg[:, None])


@MODELS.register_module()
class DDLQueueLoss(BaseModule):
    """Contrast a batch's features with itself and with a queue of past ones.

    Anchors are both views of the batch. Keys are the queue and both views of
    the whole batch (over all ranks), without the anchor itself and without
    gradient. After the loss, the batch enters the queue. All in float32.

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
        init_cfg (dict, optional): Initialisation config. Defaults to None.

    Raises:
        ValueError: For a queue without a place, a margin outside [-1, 1] or
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
        self.queue = FeatureQueue(queue_len, projector or feat_dim)
        self.feat_dim = feat_dim

    def forward(self, views: torch.Tensor,
                labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Compute the loss, then remember the batch.

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

    def _contrast(self, views: torch.Tensor,
                  labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        num_views, batch = views.shape[:2]
        keys, key_labels, start = gather_batch(
            views.detach().transpose(0, 1), labels)
        total = len(key_labels)
        anchors = views.flatten(0, 1)
        anchor_labels = labels.repeat(num_views)

        batch_keys = keys.transpose(0, 1).flatten(0, 1)
        same = anchor_labels[:, None] == key_labels.repeat(num_views)
        first = start + torch.arange(batch, device=labels.device)
        itself = torch.cat([first + v * total for v in range(num_views)])
        positive = same.scatter(1, itself[:, None], False)
        from_queue = anchor_labels[:, None] == self.queue.labels
        loss, grad = queue_contrast(
            anchors.detach(),
            [(self.queue.features, from_queue,
              ~from_queue & (self.queue.labels >= 0)),
             (batch_keys, positive, ~same)], self.margin, self.negatives)
        # Adds 0 to the value and the closed-form gradient to the anchors.
        loss = loss.mean() + (
            grad * (anchors - anchors.detach())).sum() / len(anchors)

        remembered = num_views if self.enqueue == 'both' else 1
        self.queue.enqueue(batch_keys[:remembered * total],
                           key_labels.repeat(remembered))
        return dict(
            loss_qc=self.loss_weight * loss,
            ddl_positives=from_queue.sum() / len(anchors))


def check_margin(owner: str, margin: float) -> None:
    """Refuse a margin that no cosine can cross.

    Args:
        owner (str): The class to name in the message.
        margin (float): A cosine.

    Raises:
        ValueError: If it lies outside [-1, 1].
    """
    if not -1 <= margin <= 1:
        raise ValueError(f'{owner}: margin={margin} is compared with cosines '
                         'and must lie in [-1, 1].')
