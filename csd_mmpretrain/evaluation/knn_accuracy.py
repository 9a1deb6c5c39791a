"""Accuracy of the weighted kNN classifier, as a metric of mmengine."""
from typing import Dict, Sequence

from mmpretrain.registry import METRICS

from .feature_metric import FeatureMetric, LabelledFeatures
from .knn import KS, TEMPERATURE, check_ks, knn_scores


@METRICS.register_module()
class KNNAccuracy(FeatureMetric):
    """Classify query images by their nearest gallery images.

    It gives ``knn/top1_k20``, ``knn/top5_k20`` and so on, in per cent. The
    definition is that of :func:`~csd_mmpretrain.evaluation.knn.knn_scores`.

    Args:
        ks (Sequence[int]): Numbers of neighbours, at most as many as the
            gallery has images. Defaults to (10, 20, 100, 200).
        temperature (float): Of the weights. Defaults to 0.07.
        **options: Of :class:`FeatureMetric`.

    Raises:
        ValueError: If a k is larger than the gallery.

    Source: Wu et al. 2018; k and temperature as in DINO (Caron et al. 2021).

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
        """Check that the gallery has as many images as any k.

        Args:
            num_gallery (int): Images of the gallery.
            num_query (int): Query images.

        Raises:
            ValueError: If a k is larger than the gallery.
        """
        check_ks(self.ks, num_gallery)

    def compare(self, gallery: LabelledFeatures,
                query: LabelledFeatures) -> Dict[str, float]:
        """Compute the accuracies.

        Args:
            gallery (LabelledFeatures): Who votes.
            query (LabelledFeatures): Who is classified.

        Returns:
            dict[str, float]: Per cent, by name.
        """
        found = knn_scores(query.features, query.labels, gallery.features,
                           gallery.labels, self.ks, self.temperature,
                           self.memory)
        return {
            f'{name}_k{k}': 100 * value
            for k, scores in found.items()
            for name, value in scores._asdict().items()
        }
