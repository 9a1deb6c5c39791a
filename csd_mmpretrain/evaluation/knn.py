"""The weighted kNN classifier that features are judged by."""
from typing import Dict, NamedTuple, Sequence

import torch
from mmpretrain.registry import METRICS

from .feature_metric import FeatureMetric
from .features import LabelledFeatures
from .similarity import MEMORY, similarity_blocks, unit_features

KS = (10, 20, 100, 200)
TEMPERATURE = 0.07


class KNNScores(NamedTuple):
    """Top-1 and top-5 accuracy as fractions."""

    top1: float
    top5: float


def _check_ks(ks: Sequence[int], gallery: int) -> None:
    wrong = [k for k in ks if not 1 <= k <= gallery]
    if wrong or not ks:
        raise ValueError(
            f'ks={tuple(ks)}: the gallery has {gallery} images, so the '
            f'numbers of neighbors must be from 1 to {gallery}, and at least '
            'one. Change ks, or give a larger gallery.')


def knn_scores(query: LabelledFeatures,
               gallery: LabelledFeatures,
               ks: Sequence[int] = KS,
               temperature: float = TEMPERATURE,
               memory: float = MEMORY) -> Dict[int, KNNScores]:
    """Classify queries by their nearest gallery images.

    Each of the k nearest by cosine votes for its class with the weight
    exp(cosine / temperature). Of gallery images that are as near as the k-th,
    each has its part of the votes that are left. A query is right if fewer
    than one (five) other classes have as many votes as its own or more, and
    its own has any.

    Args:
        query (LabelledFeatures): Of the images to classify.
        gallery (LabelledFeatures): Of M images that vote, on the same device.
        ks (Sequence[int]): Numbers of neighbors, at most M each. Defaults to
            (10, 20, 100, 200).
        temperature (float): Of the weights. Defaults to 0.07.
        memory (float): MiB for a block of similarities. Defaults to 256.

    Returns:
        dict[int, KNNScores]: For each k, in the order given.

    Raises:
        ValueError: If a k is larger than the gallery, the temperature is not
            positive, or features are not finite.

    Source: Wu et al., Unsupervised feature learning via non-parametric
    instance discrimination, 2018; k and temperature as in DINO (Caron et al.
    2021). What is done with ties is a choice.

    Example:
        >>> import torch
        >>> same = LabelledFeatures(torch.eye(2), torch.tensor([0, 1]))
        >>> knn_scores(same, same, ks=[1])
        {1: KNNScores(top1=1.0, top5=1.0)}
    """
    _check_ks(ks, len(gallery.labels))
    if not temperature > 0:
        raise ValueError(f'temperature={temperature} must be more than 0.')
    queries = unit_features('queries', query.features)
    images = unit_features('gallery', gallery.features)
    num_classes = 1 + int(max(gallery.labels.max(), query.labels.max()))
    right = {k: [0, 0] for k in ks}
    for rows, cosines in similarity_blocks(queries, images, memory=memory):
        true = query.labels[rows, None]
        near = cosines.topk(min(1 + max(ks), len(images)), dim=1)
        labels = gallery.labels[near.indices]
        # Relative to the nearest, so that no temperature overflows.
        weights = ((near.values - near.values[:, :1]) / temperature).exp()
        for k in ks:
            votes = weights.new_zeros(len(true), num_classes)
            votes.scatter_add_(1, labels[:, :k], weights[:, :k])
            last = near.values[:, k - 1:k]
            tied = (near.values[:, k:k + 1] == last).flatten().nonzero()[:, 0]
            if len(tied):
                votes[tied] = _tied_votes(
                    cosines[tied], gallery.labels, k, last[tied], temperature,
                    num_classes)
            own = votes.gather(1, true)
            others = (votes >= own).sum(1, keepdim=True) - 1
            for i, top in enumerate((1, 5)):
                right[k][i] += int(((own > 0) & (others < top)).sum())
    return {
        k: KNNScores(*(count / len(queries) for count in counts))
        for k, counts in right.items()
    }


def _tied_votes(cosines: torch.Tensor, labels: torch.Tensor, k: int,
                last: torch.Tensor, temperature: float,
                num_classes: int) -> torch.Tensor:
    """Count votes where more than k are as near as the k-th: these share."""
    nearer, tied = cosines > last, cosines == last
    share = (k - nearer.sum(1, keepdim=True)) / tied.sum(1, keepdim=True)
    weights = ((cosines - cosines.amax(1, keepdim=True)) / temperature).exp()
    votes = weights.new_zeros(len(cosines), num_classes)
    return votes.index_add_(1, labels, weights * (nearer + share * tied))


@METRICS.register_module()
class KNNAccuracy(FeatureMetric):
    """Accuracy in per cent: ``knn/top1_k20``, ``knn/top5_k20`` and so on.

    Args:
        ks (Sequence[int]): As in :func:`knn_scores`.
        temperature (float): As there.
        **options: Of :class:`FeatureMetric`.

    Example:
        ::

            dict(type='KNNAccuracy', ks=(10, 20))
    """

    default_prefix = 'knn'

    def __init__(self,
                 ks: Sequence[int] = KS,
                 temperature: float = TEMPERATURE,
                 **options) -> None:
        super().__init__(**options)
        self.ks = tuple(ks)
        self.temperature = temperature

    def check_sizes(self, num_gallery: int, num_query: int) -> None:
        _check_ks(self.ks, num_gallery)

    def compare(self, gallery: LabelledFeatures,
                query: LabelledFeatures) -> Dict[str, float]:
        found = knn_scores(query, gallery, self.ks, self.temperature,
                           self.memory)
        return {
            f'{name}_k{k}': 100 * value
            for k, scores in found.items()
            for name, value in scores._asdict().items()
        }
