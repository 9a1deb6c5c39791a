"""CLE-ViT's contrastive loss over all pairs of a batch's two views."""
from typing import Dict

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS

from csd_mmpretrain.layers.unit_vectors import check_margin, unit_vectors


@MODELS.register_module()
class PairMarginLoss(BaseModule):
    r"""CLE-ViT's margin loss, for the ``contrast`` slot of CSDHead.

    Over all pairs of the N features of both views of a process's batch:

    .. math::
        L = \frac{1}{N^2} \Big[ \sum_{y_i = y_j} (1 - \cos_{ij})
            + \sum_{y_i \ne y_j} \max(0, \cos_{ij} - \xi) \Big]

    Args:
        margin (float): xi, in [-1, 1]: negatives above this cosine are pushed
            apart. Defaults to 0.4.
        loss_weight (float): Defaults to 1.0.

    Raises:
        ValueError: For a margin outside [-1, 1].

    Source: CLE-ViT (IJCAI 2023).

    Example:
        ::

            head=dict(type='CSDHead', cls_head=...,
                      contrast=dict(type='PairMarginLoss', margin=0.4))
    """

    def __init__(self, margin: float = 0.4, loss_weight: float = 1.0) -> None:
        super().__init__()
        check_margin('PairMarginLoss', margin)
        self.margin = margin
        self.loss_weight = loss_weight

    def extra_repr(self) -> str:
        return f'margin {self.margin}'

    def forward(self, views: torch.Tensor,
                labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Compute ``loss_pair`` of features (V, B, C) and labels (B, )."""
        with torch.autocast(views.device.type, enabled=False):
            features = unit_vectors(views.float().flatten(0, 1))
            labels = labels.repeat(len(views))
            cosines = features @ features.t()
            terms = torch.where(labels[:, None] == labels, 1 - cosines,
                                (cosines - self.margin).clamp(min=0))
            return dict(loss_pair=self.loss_weight * terms.mean())
