"""The metric losses of ECAML's released example."""
from typing import Dict

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS

from csd_mmpretrain.layers.unit_vectors import unit_vectors

from .shared_noise import shared_noise


def _masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Take the mean of the marked values; 0 if none is marked."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def binomial_deviance(z: torch.Tensor,
                      labels: torch.Tensor,
                      alpha: float = 2.0,
                      beta: float = 0.5,
                      cost_positive: float = 1.0,
                      cost_negative: float = 25.0) -> torch.Tensor:
    r"""Compare the cosines of all pairs with a threshold.

    The mean over same-class pairs of :math:`\log(1 + e^{-\alpha c_+ (s -
    \beta)})`, and that over different-class pairs of :math:`\log(1 +
    e^{\alpha c_- (s - \beta)})`.

    Args:
        z (Tensor): (N, C), floating.
        labels (Tensor): (N,), int64.
        alpha (float): Slope. Defaults to 2.0.
        beta (float): Threshold of the cosine. Defaults to 0.5.
        cost_positive (float): Factor of the slope for same-class pairs.
            Defaults to 1.0.
        cost_negative (float): The same for the others. Defaults to 25.0.

    Returns:
        Tensor: A scalar. A kind of pair that there is not adds 0.

    Source: Yi et al. 2014; the released layer ``BIER_loss`` with one learner.
    """
    z = unit_vectors(z)
    shifted = alpha * (z @ z.T - beta)
    same = labels[:, None] == labels
    pairs = torch.ones_like(same).triu(1)
    return _masked_mean(
        F.softplus(-cost_positive * shifted), same & pairs) + _masked_mean(
            F.softplus(cost_negative * shifted), ~same & pairs)


def coupled_npair(z: torch.Tensor,
                  labels: torch.Tensor,
                  scale: float = 10.0,
                  coeff: float = 5e-4) -> torch.Tensor:
    r"""Find the partner of each image among the images of other classes.

    For each ordered pair (i, p) of a class, the cross entropy of
    :math:`x_i x_p` among itself and all :math:`x_n x_p`: negatives are
    compared with the partner. Embeddings have the length ``scale``, so that
    coeff / 2 \|x\|^2 is a constant.

    Args:
        z (Tensor): (N, C), floating.
        labels (Tensor): (N,), int64.
        scale (float): Length of the embeddings. Defaults to 10.0.
        coeff (float): Of the constant. Defaults to 5e-4.

    Returns:
        Tensor: A scalar, the mean over the pairs.

    Source: the released layer ``npair``; more than one partner of an image is
    a choice.
    """
    x = scale * unit_vectors(z)
    similarity = x @ x.T
    same = labels[:, None] == labels
    negatives = similarity.masked_fill(same, -torch.inf).logsumexp(1)
    terms = F.softplus(negatives[None] - similarity)
    partners = same & ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    return _masked_mean(terms, partners) + coeff / 2 * x.square().sum(1).mean()


def ranked_triplets(z: torch.Tensor,
                    labels: torch.Tensor,
                    margin: float = 0.1,
                    neg_num: int = 120) -> torch.Tensor:
    """Sum the hinges of pairs and their hard negatives.

    For each pair (a, p) of a class, a before p in the batch, and each negative
    n with s_an > s_ap - margin: the hinges of n with a and with p. Of more
    than ``neg_num`` such n, half of this number is drawn from the ``neg_num``
    nearest to a, and the other half from all that are left.

    Args:
        z (Tensor): (N, C), floating.
        labels (Tensor): (N,), int64.
        margin (float): Of cosines. Defaults to 0.1.
        neg_num (int): Negatives of a pair at most. Defaults to 120.

    Returns:
        Tensor: A scalar, the sum divided by ``neg_num`` and N.

    Source: the released layer ``rank_hard_loss``.
    """
    z = unit_vectors(z)
    s = z @ z.T
    same = labels[:, None] == labels
    a, p = torch.nonzero(same.triu(1), as_tuple=True)
    threshold = s[a, p][:, None] - margin
    hard = ~same[a] & (s[a] > threshold)
    noise = shared_noise(2, *hard.shape, device=z.device)
    nearest = _highest(s[a], hard, neg_num)
    drawn = _highest(noise[0], nearest, neg_num // 2)
    drawn |= _highest(noise[1], hard & ~drawn, neg_num - neg_num // 2)
    hinges = (s[a] - threshold).relu() + (s[p] - threshold).relu()
    return (hinges * drawn).sum() / (neg_num * len(z))


def _highest(values: torch.Tensor, mask: torch.Tensor,
             count: int) -> torch.Tensor:
    """Mark the highest of the marked values of each row."""
    order = values.masked_fill(~mask, -torch.inf).argsort(1, descending=True)
    return mask & (order.argsort(1) < count)


class _PairLoss(BaseModule):
    """A loss of all pairs of a batch, in float32."""

    def __init__(self, loss_weight: float = 1.0, **options) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.options = options

    def extra_repr(self) -> str:
        return ', '.join(f'{key} {value:g}'
                         for key, value in self.options.items())

    def forward(self, views: torch.Tensor,
                labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Compute ``loss_metric`` of features (V, B, C) and labels (B, )."""
        with torch.autocast(views.device.type, enabled=False):
            loss = self.function(views.float().flatten(0, 1),
                                 labels.repeat(len(views)), **self.options)
        return dict(loss_metric=self.loss_weight * loss)


@MODELS.register_module()
class BinomialDevianceLoss(_PairLoss):
    """Binomial deviance of the cosines of all pairs.

    Args:
        alpha, beta, cost_positive, cost_negative: As in
            :func:`binomial_deviance`, and with its defaults.
        loss_weight (float): Defaults to 1.0.

    Source: as :func:`binomial_deviance`.

    Example:
        ::

            head=dict(type='EmbeddingHead', in_channels=1280,
                      metric=dict(type='BinomialDevianceLoss'))
    """

    function = staticmethod(binomial_deviance)

    def __init__(self,
                 alpha: float = 2.0,
                 beta: float = 0.5,
                 cost_positive: float = 1.0,
                 cost_negative: float = 25.0,
                 loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight, alpha=alpha, beta=beta,
                         cost_positive=cost_positive,
                         cost_negative=cost_negative)


@MODELS.register_module()
class CoupledNPairLoss(_PairLoss):
    """The N-pair loss of the released example, see :func:`coupled_npair`.

    The usual one is ``NPairsLoss`` of ``MetricLearningLoss``.

    Args:
        scale (float): Length of the embeddings. Defaults to 10.0.
        coeff (float): Of a constant, for equal logs. Defaults to 5e-4.
        loss_weight (float): Defaults to 1.0.

    Source: as :func:`coupled_npair`.

    Example:
        ::

            head=dict(type='EmbeddingHead', in_channels=1280,
                      metric=dict(type='CoupledNPairLoss'))
    """

    function = staticmethod(coupled_npair)

    def __init__(self,
                 scale: float = 10.0,
                 coeff: float = 5e-4,
                 loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight, scale=scale, coeff=coeff)


@MODELS.register_module()
class RankedTripletLoss(_PairLoss):
    """The triplet loss of the released example, see :func:`ranked_triplets`.

    The usual one is ``TripletMarginLoss`` of ``MetricLearningLoss``.

    Args:
        margin (float): Of cosines. Defaults to 0.1.
        neg_num (int): Negatives of a pair at most. Defaults to 120.
        loss_weight (float): Defaults to 1.0.

    Source: as :func:`ranked_triplets`.

    Example:
        ::

            head=dict(type='EmbeddingHead', in_channels=1280,
                      metric=dict(type='RankedTripletLoss'))
    """

    function = staticmethod(ranked_triplets)

    def __init__(self,
                 margin: float = 0.1,
                 neg_num: int = 120,
                 loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight, margin=margin, neg_num=neg_num)
