"""The weighted kNN classifier that features are judged by."""
from typing import Dict, NamedTuple, Sequence

from mmpretrain.registry import METRICS

from .feature_metric import FeatureMetric
from .features import LabelledFeatures
from .similarity import MEMORY, nearest

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
    exp(cosine / temperature). A query is right if fewer than one (five) other
    classes have as many votes as its own or more, and its own has any.

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
    2021). The order of ties is a choice.

    Example:
        >>> import torch
        >>> same = LabelledFeatures(torch.eye(2), torch.tensor([0, 1]))
        >>> knn_scores(same, same, ks=[1])
        {1: KNNScores(top1=1.0, top5=1.0)}
    """
    _check_ks(ks, len(gallery.labels))
    if not temperature > 0:
        raise ValueError(f'temperature={temperature} must be more than 0.')
    cosines, indices = nearest(
        query.features, gallery.features, max(ks), memory=memory)
    # Relative to the nearest, so that no temperature overflows.
    weights = ((cosines - cosines[:, :1]) / temperature).exp()
    labels = gallery.labels[indices]
    num_classes = 1 + int(max(gallery.labels.max(), query.labels.max()))
    size = max(1, int(memory * 2**20) // (16 * num_classes))
    right = {k: [0, 0] for k in ks}
    for start in range(0, len(labels), size):
        rows = slice(start, start + size)
        true = query.labels[rows, None]
        for k in ks:
            votes = weights.new_zeros(len(true), num_classes)
            votes.scatter_add_(1, labels[rows, :k], weights[rows, :k])
            own = votes.gather(1, true)
            others = (votes >= own).sum(1, keepdim=True) - 1
            for i, top in enumerate((1, 5)):
                right[k][i] += int(((own > 0) & (others < top)).sum())
    return {
        k: KNNScores(*(count / len(labels) for count in counts))
        for k, counts in right.items()
    }


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
