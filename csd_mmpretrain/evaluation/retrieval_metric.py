"""Rank-1, Rank-5 and mAP under a protocol, as a metric of mmengine."""
from typing import Dict

from mmpretrain.registry import METRICS

from .feature_metric import FeatureMetric, LabelledFeatures
from .retrieval import check_protocol, evaluate_protocol, split_protocol


@METRICS.register_module()
class RetrievalMetric(FeatureMetric):
    """Rank gallery images by cosine, under a named protocol.

    It gives ``retrieval/<protocol>/rank1``, ``rank5`` and ``mAP`` in per cent,
    and the numbers of ``queries`` that count and of those ``left_out``, which
    have no image of their class in the gallery. The protocols are those of
    :func:`~csd_mmpretrain.evaluation.retrieval.split_protocol`: their training
    images are the gallery samples here, their test images the query samples.

    Args:
        protocol (str): ``'every-9th'``, ``'train-gallery'`` or
            ``'leave-one-out'``.
        **options: Of :class:`FeatureMetric`.

    Raises:
        ValueError: If there is no such protocol, or nothing to look for.

    Source: see :func:`~csd_mmpretrain.evaluation.retrieval.split_protocol`.

    Example:
        ::

            dict(type='RetrievalMetric', protocol='train-gallery')
    """

    default_prefix = 'retrieval'

    def __init__(self, protocol: str, **options) -> None:
        super().__init__(**options)
        check_protocol(protocol)
        self.protocol = protocol

    def check_sizes(self, num_gallery: int, num_query: int) -> None:
        """Check that the protocol finds queries and a gallery.

        Args:
            num_gallery (int): Images of the gallery.
            num_query (int): Query images.

        Raises:
            ValueError: If there is nothing to look for.
        """
        split_protocol(self.protocol, num_gallery, num_query)

    def compare(self, gallery: LabelledFeatures,
                query: LabelledFeatures) -> Dict[str, float]:
        """Compute the numbers.

        Args:
            gallery (LabelledFeatures): Of the training images.
            query (LabelledFeatures): Of the test images.

        Returns:
            dict[str, float]: Per cent and counts, by name.
        """
        scores = evaluate_protocol(self.protocol, *gallery, *query,
                                   self.memory)
        return {
            f'{self.protocol}/{name}': value
            for name, value in (('rank1', 100 * scores.rank1),
                                ('rank5', 100 * scores.rank5),
                                ('mAP', 100 * scores.mean_ap),
                                ('queries', scores.queries),
                                ('left_out', scores.left_out))
        }
