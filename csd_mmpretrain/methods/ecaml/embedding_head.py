"""A linear layer whose outputs are compared, in the place of a classifier."""
from typing import Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from csd_mmpretrain.layers.gather import whole_batch


def check_labels(labels: torch.Tensor) -> None:
    """Refuse a batch without a pair of one class, or of two.

    Args:
        labels (Tensor): (N,), int64.

    Raises:
        ValueError: Which kind of pair there is not.
    """
    num_classes = len(labels.unique())
    if num_classes < 2 or num_classes == len(labels):
        kind = 'one class' if num_classes == 1 else 'no two of one class'
        raise ValueError(
            f'EmbeddingHead: a batch of {len(labels)} images has {kind}, but '
            'losses of pairs need pairs of one class and of different ones. '
            "Set train_dataloader.sampler=dict(type='PKSampler', "
            'num_classes=P, num_images=K) with P and K of 2 or more, and '
            'batch_size=P * K.')


@MODELS.register_module()
class EmbeddingHead(BaseModule):
    r"""An embedding that is trained by a loss of pairs, with ECAML's term.

    z = W x + b of the pooled feature x, not normalized. The metric loss trains
    W, b and the backbone. The confusion term gets W x' + b with x' detached,
    so it trains the embedding alone. With several processes both see the
    batches of all.

    There are no class scores: ``predict`` gives the unit vector z / \|z\| as
    ``feature``, for ``RetrievalMetric`` and ``ClusteringMetric``.

    Args:
        in_channels (int): Channels of x.
        metric (dict): A loss of features (V, B, D) and labels:
            ``BinomialDevianceLoss``, ``MetricLearningLoss``, or another for
            the ``contrast`` slot of CSDHead that keeps no state.
        embed_dims (int): D, channels of z. Defaults to 512.
        confusion (dict, optional): ``EnergyConfusionLoss``. Defaults to None,
            the metric loss alone.
        init_cfg (dict, optional): Defaults to Xavier's, whose rows are about
            of length 1; a choice.

    Raises:
        ValueError: If ``embed_dims`` is below 2.

    Source: Chen and Deng, AAAI 2019; the released network for Stanford Cars.

    Example:
        ::

            model = dict(
                type='ImageClassifier',
                backbone=dict(type='MobileNetV2'),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='EmbeddingHead', in_channels=1280,
                          metric=dict(type='BinomialDevianceLoss'),
                          confusion=dict(type='EnergyConfusionLoss')))
    """

    num_classes = 0  # it scores none

    def __init__(self,
                 in_channels: int,
                 metric: dict,
                 embed_dims: int = 512,
                 confusion: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg or dict(
            type='Xavier', layer='Linear', distribution='uniform'))
        if embed_dims < 2:
            raise ValueError(
                f'EmbeddingHead: embed_dims={embed_dims}, but in one '
                'dimension all cosines are 1 or -1. Give 2 or more.')
        self.fc = nn.Linear(in_channels, embed_dims)
        self.metric = MODELS.build(metric)
        self.confusion = None
        if confusion is not None:
            self.confusion = MODELS.build(confusion)
        self._checked = False

    def describe(self) -> Dict[str, str]:
        """Write the objective, for the run's header."""
        terms = [
            f'{part.loss_weight:g} x {type(part).__name__} '
            f'({part.extra_repr()})'
            for part in (self.metric, self.confusion) if part is not None]
        return dict(loss=' + '.join(terms))

    def pre_logits(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Give the embedding z, (N, D), not normalized."""
        return self.fc(feats[-1])

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Give the embedding at unit length, (N, D)."""
        return F.normalize(self.pre_logits(feats), dim=1)

    def predict(
        self,
        feats: Tuple[torch.Tensor],
        data_samples: Optional[List[Optional[DataSample]]] = None
    ) -> List[DataSample]:
        """Give the unit embedding of each image as ``feature``."""
        embeddings = self(feats)
        if data_samples is None:
            data_samples = [None] * len(embeddings)
        samples = [sample or DataSample() for sample in data_samples]
        for sample, feature in zip(samples, embeddings):
            sample.set_field(feature, 'feature', dtype=torch.Tensor)
        return samples

    def loss(self, feats: Tuple[torch.Tensor],
             data_samples: List[DataSample]) -> Dict[str, torch.Tensor]:
        """Compute the losses of one batch.

        Args:
            feats (tuple[Tensor]): The last is x, (B, in_channels).
            data_samples (list[DataSample]): B, with one class each.

        Returns:
            dict: ``loss_metric``, the terms of ``confusion``, and
            ``embedding_norm``, the mean length of z. Each is that of the
            batches of all processes together.

        Raises:
            ValueError: If labels are mixed or not whole numbers, or a batch
                lacks pairs of one class or of two. On a GPU the first batch
                alone is checked for pairs.
        """
        return self.compare(feats[-1], self._labels(data_samples))

    def compare(self, x: torch.Tensor,
                labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Compute the losses of pooled features (B, in_channels)."""
        z, all_labels = whole_batch(self.fc(x), labels)
        if not (self._checked and labels.is_cuda):
            check_labels(all_labels)
            self._checked = True
        losses = self.metric(z[None], all_labels)
        if self.confusion is not None:
            confused, _ = whole_batch(self.fc(x.detach()), labels)
            losses.update(
                self.confusion(confused, all_labels, self.fc.weight))
        losses['embedding_norm'] = z.detach().norm(dim=1).mean()
        return losses

    def _labels(self, data_samples: Sequence[DataSample]) -> torch.Tensor:
        if 'gt_score' in data_samples[0]:
            raise ValueError(
                'EmbeddingHead: it needs one label per image, but the batch '
                'carries mixed labels (`gt_score`). Switch Mixup and CutMix '
                'off: `--cfg-options model.train_cfg=None '
                'data_preprocessor.batch_augments=None '
                'data_preprocessor.to_onehot=False`, or the same in the '
                'config.')
        labels = torch.cat([sample.gt_label for sample in data_samples])
        if labels.is_floating_point() or len(labels) != len(data_samples):
            raise ValueError(
                f'EmbeddingHead: {len(data_samples)} images have '
                f'{len(labels)} labels of {labels.dtype}, expected one whole '
                'number each. Give a dataset with one class per image.')
        return labels
