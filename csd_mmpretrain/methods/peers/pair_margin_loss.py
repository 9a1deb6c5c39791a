"""CLE-ViT's contrastive loss over all pairs of a batch's two views."""
from typing import Dict

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS

from csd_mmpretrain.layers.unit_vectors import unit_vectors
from csd_mmpretrain.methods.csdnet.ddl_queue_loss import check_margin


def pair_contrast(features: torch.Tensor,
                  labels: torch.Tensor,
                  margin: float = 0.4) -> torch.Tensor:
    r"""Contrast all pairs of N features.

    .. math::
        L = \frac{1}{N^2} \Big[ \sum_{y_i = y_j} (1 - \cos_{ij})
            + \sum_{y_i \ne y_j} \max(0, \cos_{ij} - \xi) \Big]

    Args:
        features (Tensor): (N, C), any length.
        labels (Tensor): (N, ), int64.
        margin (float): xi, a cosine. Defaults to 0.4.

    Returns:
        Tensor: Scalar.

    Source: CLE-ViT (IJCAI 2023).
    """
    features = unit_vectors(features)
    similarity = features @ features.t()
    same = labels[:, None] == labels
    terms = torch.where(same, 1 - similarity,
                        (similarity - margin).clamp(min=0))
    return terms.mean()


@MODELS.register_module()
class PairMarginLoss(BaseModule):
    """All-pairs margin loss, CLE-ViT's, for the ``ddl`` slot of CSDHead.

    It has no memory: pairs are those of the batch of one process.

    Args:
        margin (float): Negatives above this cosine are pushed apart.
            Defaults to 0.4.
        loss_weight (float): Defaults to 1.0.

    Raises:
        ValueError: For a margin outside [-1, 1].

    Source: CLE-ViT (IJCAI 2023).

    Example:
        ::

            head=dict(type='CSDHead', cls_head=...,
                      ddl=dict(type='PairMarginLoss', margin=0.4))
    """

    def __init__(self, margin: float = 0.4, loss_weight: float = 1.0) -> None:
        super().__init__()
        check_margin('PairMarginLoss', margin)
        self.margin = margin
        self.loss_weight = loss_weight

    def forward(self, views: torch.Tensor,
                labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Compute the loss of a batch.

        Args:
            views (Tensor): (V, B, C), the features of V views.
            labels (Tensor): (B, ), int64.

        Returns:
            dict: ``loss_pair``.
        """
        with torch.autocast(views.device.type, enabled=False):
            loss = pair_contrast(
                views.float().flatten(0, 1), labels.repeat(len(views)),
                self.margin)
        return dict(loss_pair=self.loss_weight * loss)
