"""DDL's queue as a classifier: each image against the means of the others."""
from typing import Dict, Optional, Tuple

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS

from csd_mmpretrain.layers.unit_vectors import check_margin, unit_vectors

from .queue_loss import QueueLoss


def prototype_cosines(anchors: torch.Tensor, labels: torch.Tensor,
                      images: torch.Tensor, keys: torch.Tensor,
                      key_labels: torch.Tensor, key_images: torch.Tensor,
                      num_classes: int) -> torch.Tensor:
    r"""Compare anchors with a mean direction of each class.

    The prototype of class c for image i is the direction of the sum of all
    keys of that class, without those of image i itself:

    .. math::
        p_{ic} \propto \sum_{j: y_j = c, \; n_j \ne n_i} k_j

    Args:
        anchors (Tensor): (V, B, C), unit vectors, V views of B images.
        labels (Tensor): (B, ), int64.
        images (Tensor): (B, ), int64, the images' numbers.
        keys (Tensor): (K, C), unit vectors, no gradient; 0 for no key.
        key_labels (Tensor): (K, ), int64, of which -1 marks no key.
        key_images (Tensor): (K, ), int64.
        num_classes (int): Above every label.

    Returns:
        Tensor: (V, B, classes), in [-1, 1]; -inf for a class without keys.
    """
    sums, counts = _class_sums(keys, key_labels, num_classes)
    own = ((labels[:, None] == key_labels) &
           (images[:, None] == key_images)).to(keys)
    cosines = anchors @ unit_vectors(sums).t()
    cosines = cosines.masked_fill(counts == 0, -torch.inf)
    others = unit_vectors(sums[labels] - own @ keys)
    target = (anchors * others).sum(-1).masked_fill(
        counts[labels] == own.sum(1), -torch.inf)
    index = labels.expand(len(anchors), -1)[..., None]
    return cosines.scatter(-1, index, target[..., None])


def class_spread(labels: torch.Tensor, keys: torch.Tensor,
                 key_labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    r"""Measure how far images of one class differ towards other classes.

    With the covariance S of the keys within their classes, one for all of
    them, and each class's prototype p:

    .. math::
        S = \frac{\sum_j (k_j - \bar k_{y_j}) (k_j - \bar k_{y_j})^T}
                 {\sum_c \max(0, n_c - 1)}, \quad
        V_{cd} = (p_d - p_c)^T S (p_d - p_c)

    Args:
        labels (Tensor): (B, ), int64, the classes c.
        keys (Tensor): (K, C), unit vectors; 0 for no key.
        key_labels (Tensor): (K, ), int64, of which -1 marks no key.
        num_classes (int): Above every label.

    Returns:
        Tensor: V of these classes, (B, classes), not negative.
    """
    sums, counts = _class_sums(keys, key_labels, num_classes)
    means = sums / counts.clamp(min=1)[:, None]
    residuals = keys - means[key_labels] * (key_labels >= 0)[:, None]
    along = residuals @ unit_vectors(sums).t()
    own = along.square().sum(0)
    spread = own[labels, None] + own - 2 * along[:, labels].t() @ along
    return spread.clamp(min=0) / (counts - 1).clamp(min=0).sum().clamp(min=1)


def _class_sums(keys: torch.Tensor, key_labels: torch.Tensor,
                num_classes: int) -> Tuple[torch.Tensor, torch.Tensor]:
    """Add the keys of each class, (classes, C), and count them."""
    places = key_labels.clamp(min=0)
    known = (key_labels >= 0).to(keys)
    sums = keys.new_zeros(num_classes, keys.size(1))
    counts = keys.new_zeros(num_classes)
    return sums.index_add_(0, places, keys), counts.index_add_(
        0, places, known)


@MODELS.register_module()
class PrototypeQueueLoss(QueueLoss):
    r"""Recognise each image by the other images of its class in a queue.

    Cross entropy of scaled cosines between a feature and the mean directions
    of the classes' past features, from which the image's own are left out. A
    margin is subtracted from the true class's cosine. An image whose class
    has no other image in the queue adds 0. After the loss, a batch in
    training enters the queue.

    With a ``spread`` of lambda, :math:`\lambda s^2 V_{yc} / 2` is added to the
    logit of each class c, V being :func:`class_spread` of the queue and s the
    scale. But for the own image in V, the loss is then an upper bound of its
    mean over features drawn around the image's, with lambda times the
    covariance of the images of one class.

    Args:
        num_classes (int): Those of the inner head.
        feat_dim (int): Channels C of the features, those of the neck.
        queue_len (int): Length of the queue; about one epoch of training
            images. Defaults to 1024.
        scale (float): Of the cosines. Defaults to 16.0.
        margin (float): A cosine. Defaults to 0.1.
        spread (float): lambda, at least 0. Defaults to 0.0.
        loss_weight (float): The paper's alpha. Defaults to 1.0.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        ValueError: For a queue length below 1, a margin outside [-1, 1] or a
            negative spread.

    Source: a choice, in the place of the paper's DDL; the margin is that of
    Wang et al. 2018, CosFace; the bound is that of Wang et al. 2019, Implicit
    Semantic Data Augmentation, whose covariances are each class's own.

    Example:
        >>> import torch
        >>> loss = PrototypeQueueLoss(num_classes=3, feat_dim=8, queue_len=16)
        >>> labels, images = torch.tensor([0, 0, 1]), torch.tensor([7, 8, 9])
        >>> sorted(loss(torch.rand(1, 3, 8), labels, images))
        ['loss_prototypes', 'prototype_accuracy']
    """

    def __init__(self,
                 num_classes: int,
                 feat_dim: int,
                 queue_len: int = 1024,
                 scale: float = 16.0,
                 margin: float = 0.1,
                 spread: float = 0.0,
                 loss_weight: float = 1.0,
                 init_cfg: Optional[dict] = None) -> None:
        check_margin('PrototypeQueueLoss', margin)
        if spread < 0:
            raise ValueError(f'PrototypeQueueLoss: spread={spread} is a '
                             'factor of a covariance; give 0 or more.')
        super().__init__(feat_dim, queue_len, with_images=True,
                         loss_weight=loss_weight, init_cfg=init_cfg)
        self.num_classes = num_classes
        self.scale = scale
        self.margin = margin
        self.spread = spread

    def compare(self, views: torch.Tensor, labels: torch.Tensor,
                images: torch.Tensor, keys: torch.Tensor,
                key_labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Compute the loss, see :meth:`QueueLoss.compare`.

        Returns:
            dict: ``loss_prototypes``, the mean over this rank's anchors, and
            ``prototype_accuracy``, the per cent of them that are nearest to
            the prototype of their class. An image whose class has no other
            in the queue is none of them.
        """
        queue = self.queue
        cosines = prototype_cosines(views, labels, images, queue.features,
                                    queue.labels, queue.images,
                                    self.num_classes)
        true = labels.expand(len(views), -1)[..., None]
        margins = torch.zeros_like(cosines).scatter_(-1, true, self.margin)
        lonely = cosines.gather(-1, true).isneginf()
        logits = self.scale * (cosines - margins).masked_fill(lonely, 0)
        if self.spread:
            logits += self.spread * self.scale**2 / 2 * class_spread(
                labels, queue.features, queue.labels, self.num_classes)
        losses = F.cross_entropy(logits.flatten(0, 1), true.flatten(),
                                 reduction='none')
        kept = ~lonely.flatten()
        right = kept & (cosines.argmax(-1).flatten() == true.flatten())
        return dict(
            loss_prototypes=self.loss_weight * (losses * kept).mean(),
            prototype_accuracy=100 * right.float().mean())

    def extra_repr(self) -> str:
        return (f'queue {self.queue.length}, scale {self.scale}, '
                f'margin {self.margin}, spread {self.spread}')
