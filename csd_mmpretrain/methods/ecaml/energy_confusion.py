"""Energy confusion: pull the embeddings of different classes together."""
from typing import Dict, Optional

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS

from .shared_noise import shared_noise

PAIRS = ('negative', 'layer')


def _pair_weights(labels: torch.Tensor, pairs: torch.Tensor,
                  dtype: torch.dtype) -> torch.Tensor:
    """Give 1 / (2 w) of each pair; w counts the batch's pairs of its kind."""
    n = len(labels)
    same = ((labels[:, None] == labels).sum() - n) / 2
    different = n * (n - 1) / 2 - same
    a, b = pairs.unbind(1)
    counts = torch.where(labels[a] == labels[b], same, different)
    return 0.5 / counts.clamp(min=1).to(dtype)


def energy_confusion(z: torch.Tensor, labels: torch.Tensor,
                     pairs: torch.Tensor) -> torch.Tensor:
    r"""Add up the squared distances of pairs.

    :math:`E = \sum_{(i, j)} |z_i - z_j|^2 / (2 w_{ij})`, where w is the number
    of same-class pairs of the whole batch for a pair of one class, and that of
    different-class pairs for another pair.

    Args:
        z (Tensor): (N, C), floating: embeddings, not normalized.
        labels (Tensor): (N,), int64.
        pairs (Tensor): (M, 2), int64, places in the batch. A pair of an image
            with itself counts nothing.

    Returns:
        Tensor: E, a scalar; 0 without pairs.

    Source: the released layer ``energy_confusion``.

    Example:
        >>> energy_confusion(torch.tensor([[0.], [2.]]), torch.tensor([0, 1]),
        ...                  torch.tensor([[0, 1]]))
        tensor(2.)
    """
    a, b = pairs.unbind(1)
    return ((z[a] - z[b]).square().sum(1) *
            _pair_weights(labels, pairs, z.dtype)).sum()


def log_energy(z: torch.Tensor, labels: torch.Tensor,
               pairs: torch.Tensor) -> torch.Tensor:
    """Take the logarithm of :func:`energy_confusion`, which is minimized.

    Rounding is added to the energy, so that equal embeddings have a finite
    one.

    Args:
        z (Tensor): (N, C), floating.
        labels (Tensor): (N,), int64.
        pairs (Tensor): (M, 2), int64.

    Returns:
        Tensor: A scalar; 0, without a gradient, if there is no pair.

    Source: the gradient of the released layer; 0 without pairs, where that
    divides by 0, is a choice.
    """
    scale = z.detach().square().sum(1).mean() * _pair_weights(
        labels, pairs, z.dtype).sum()
    info = torch.finfo(z.dtype)
    energy = energy_confusion(z, labels, pairs) + (
        info.eps * scale + info.tiny)
    any_pair = (pairs[:, 0] != pairs[:, 1]).any()
    return torch.where(any_pair, energy.log(), torch.zeros_like(energy))


def negative_pairs(labels: torch.Tensor,
                   random_num: Optional[int] = None) -> torch.Tensor:
    """Choose pairs of images of different classes.

    With ``random_num`` each image draws so many different partners of other
    classes, or all if there are fewer. In batches of P x K images all such
    pairs are equally likely.

    Args:
        labels (Tensor): (N,), int64.
        random_num (int, optional): Partners of an image. Defaults to None:
            each pair of the batch once.

    Returns:
        Tensor: (M, 2), int64; in the place of a pair that there is not stands
        an image with itself.

    Source: the released set-up draws pairs of different classes alone, as its
    batches are ordered. The draw is a choice: it does not depend on an order.
    """
    n, device = len(labels), labels.device
    if random_num is None:
        a, b = torch.triu_indices(n, n, 1, device=device)
        return torch.stack([a, torch.where(labels[a] == labels[b], a, b)], 1)
    noise = shared_noise(n, n, device=device)
    noise.masked_fill_(labels[:, None] == labels, -1)
    found, partners = noise.topk(min(random_num, n), dim=1)
    anchors = torch.arange(n, device=device)[:, None].expand_as(partners)
    partners = torch.where(found < 0, anchors, partners)
    return torch.stack([anchors.flatten(), partners.flatten()], 1)


def layer_pairs(labels: torch.Tensor,
                random_num: Optional[int] = None) -> torch.Tensor:
    """Choose pairs as the released layer does: by the order of the batch.

    Image i < N - 2R draws R different partners among i + 2, ..., N - 1, of any
    class.

    Args:
        labels (Tensor): (N,), int64.
        random_num (int, optional): R. Defaults to None: all these partners of
            all images.

    Returns:
        Tensor: (M, 2), int64.

    Raises:
        ValueError: If N <= 2R, where there is no pair.

    Source: the released layer ``energy_confusion``.
    """
    n, device = len(labels), labels.device
    if random_num is None:
        return torch.triu_indices(n, n, 2, device=device).T
    if n <= 2 * random_num:
        raise ValueError(
            f"EnergyConfusionLoss: pairs='layer' with random_num={random_num} "
            f'leaves no pair in a batch of {n} images; it needs more than '
            f'{2 * random_num}. Give larger batches, a smaller random_num, or '
            "pairs='negative'.")
    anchors = torch.arange(n - 2 * random_num, device=device)[:, None]
    noise = shared_noise(len(anchors), n, device=device)
    noise.masked_fill_(torch.arange(n, device=device) < anchors + 2, -1)
    partners = noise.topk(random_num, dim=1).indices
    return torch.stack(
        [anchors.expand_as(partners).flatten(), partners.flatten()], 1)


def row_norm_penalty(weight: torch.Tensor) -> torch.Tensor:
    """Take the mean of (|w_i|^2 - 1)^2 over the rows w_i of a layer.

    Args:
        weight (Tensor): (D, C), floating.

    Returns:
        Tensor: A scalar, 0 for unit rows.

    Source: ``bier_init`` of the released code, which adds its gradient on the
    GPU alone.
    """
    return (weight.square().sum(1) - 1).square().mean()


@MODELS.register_module()
class EnergyConfusionLoss(BaseModule):
    r"""ECAML's confusion term, for the ``confusion`` slot of EmbeddingHead.

    :math:`\gamma \log E + \lambda / D \sum_i (|w_i|^2 - 1)^2`, with E of
    :func:`energy_confusion` and the rows w of the embedding layer. E is
    lowered by a shorter embedding, too, which a cosine does not see; the
    second term stands against that.

    Args:
        loss_weight (float): gamma. Defaults to 0.13, that of Stanford Cars
            with binomial deviance. With 0 the second term alone is left.
        random_num (int, optional): Partners that each image draws; None takes
            all pairs. Defaults to 10.
        pairs (str): ``'negative'``, of :func:`negative_pairs`, or
            ``'layer'``, of :func:`layer_pairs`. Defaults to ``'negative'``.
        row_norm_weight (float): lambda. Defaults to 0.5; 0 leaves it out.

    Raises:
        ValueError: If ``random_num`` is below 1 or ``pairs`` unknown.

    Source: Chen and Deng, AAAI 2019; numbers of the released code for
    Stanford Cars.

    Example:
        ::

            head=dict(type='EmbeddingHead', in_channels=1280,
                      metric=dict(type='BinomialDevianceLoss'),
                      confusion=dict(type='EnergyConfusionLoss'))
    """

    def __init__(self,
                 loss_weight: float = 0.13,
                 random_num: Optional[int] = 10,
                 pairs: str = 'negative',
                 row_norm_weight: float = 0.5) -> None:
        super().__init__()
        if random_num is not None and random_num < 1:
            raise ValueError(
                f'EnergyConfusionLoss: random_num={random_num} partners per '
                'image; give 1 or more, or None for all pairs.')
        if pairs not in PAIRS:
            raise ValueError(f'EnergyConfusionLoss: pairs={pairs!r}, expected '
                             f'{" or ".join(map(repr, PAIRS))}.')
        self.loss_weight = loss_weight
        self.random_num = random_num
        self.choose_pairs = dict(
            negative=negative_pairs, layer=layer_pairs)[pairs]
        self.row_norm_weight = row_norm_weight

    def extra_repr(self) -> str:
        partners = 'all pairs' if self.random_num is None else (
            f'{self.random_num} {self.choose_pairs.__name__} per image')
        return f'{partners}, row norm {self.row_norm_weight:g}'

    def forward(self, z: torch.Tensor, labels: torch.Tensor,
                weight: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Compute the terms of embeddings whose inputs are detached.

        Args:
            z (Tensor): (N, D), of the whole batch.
            labels (Tensor): (N,), int64.
            weight (Tensor): (D, C), of the embedding layer.

        Returns:
            dict: ``loss_ec``, ``loss_row_norm``, as far as they count, and
            ``energy``, the log of E.
        """
        losses = dict()
        with torch.autocast(z.device.type, enabled=False):
            if self.loss_weight:
                pairs = self.choose_pairs(labels, self.random_num)
                losses['energy'] = log_energy(z.float(), labels, pairs)
                losses['loss_ec'] = self.loss_weight * losses['energy']
                losses['energy'] = losses['energy'].detach()
            if self.row_norm_weight:
                losses['loss_row_norm'] = (
                    self.row_norm_weight * row_norm_penalty(weight.float()))
        return losses
