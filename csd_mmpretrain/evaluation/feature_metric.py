"""What metrics of features share: gathering them, each image once."""
from abc import abstractmethod
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric

from .similarity import MEMORY


class LabelledFeatures(NamedTuple):
    """One feature and one label per image.

    Attributes:
        features (Tensor): (N, C), float32.
        labels (Tensor): (N,), int64.
    """

    features: torch.Tensor
    labels: torch.Tensor


class FeatureMetric(BaseMetric):
    """A metric that compares features of query and gallery images.

    Its data samples hold ``feature`` (C,), ``gt_label`` (1,), ``sample_idx``
    and ``in_gallery`` (bool), as
    :func:`~csd_mmpretrain.evaluation.feature_evaluation.evaluate_features`
    gives them. What a sampler has doubled among several processes counts
    once: images of a split with the same ``sample_idx`` are one. Each split
    is sorted by ``sample_idx``.

    Args:
        memory (float): MiB for a block of similarities. Defaults to 256.
        device (str, optional): Where they are computed. Defaults to None, a
            GPU where there is one.
        **options: ``collect_device``, ``collect_dir`` and ``prefix`` of
            mmengine's ``BaseMetric``.
    """

    def __init__(self,
                 memory: float = MEMORY,
                 device: Optional[str] = None,
                 **options) -> None:
        super().__init__(**options)
        self.memory = memory
        self.device = device

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the features of a batch.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): As described above.
        """
        self.results.append(
            dict(
                features=torch.stack([s['feature'] for s in data_samples]),
                labels=torch.cat([s['gt_label'] for s in data_samples]),
                indices=np.array([s['sample_idx'] for s in data_samples]),
                in_gallery=np.array([s['in_gallery'] for s in data_samples])))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Compute the metric from the features of all processes.

        Args:
            results (list[dict]): What :meth:`process` has kept.

        Returns:
            dict[str, float]: The numbers by name.

        Raises:
            ValueError: As :meth:`check_sizes` and :meth:`compare`.
        """
        gallery = self._split(results, True)
        query = self._split(results, False)
        self.check_sizes(len(gallery.labels), len(query.labels))
        return self.compare(gallery, query)

    def _split(self, results: List[dict],
               in_gallery: bool) -> LabelledFeatures:
        chosen = np.concatenate([r['in_gallery'] for r in results])
        chosen = np.flatnonzero(chosen == in_gallery)
        indices = np.concatenate([r['indices'] for r in results])[chosen]
        chosen = torch.from_numpy(
            chosen[np.unique(indices, return_index=True)[1]])
        device = self.device or get_device()
        return LabelledFeatures(
            torch.cat([r['features'] for r in results])[chosen].to(device),
            torch.cat([r['labels'] for r in results])[chosen].to(device))

    @abstractmethod
    def check_sizes(self, num_gallery: int, num_query: int) -> None:
        """Check, before features are computed, that there are enough images.

        Args:
            num_gallery (int): Images of the gallery.
            num_query (int): Query images.

        Raises:
            ValueError: If there are too few.
        """

    @abstractmethod
    def compare(self, gallery: LabelledFeatures,
                query: LabelledFeatures) -> Dict[str, float]:
        """Compute the numbers.

        Args:
            gallery (LabelledFeatures): Of the gallery.
            query (LabelledFeatures): Of the queries.

        Returns:
            dict[str, float]: The numbers by name.
        """
