"""The base class of metrics of features."""
from abc import abstractmethod
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric

from .features import LabelledFeatures
from .similarity import MEMORY


class FeatureMetric(BaseMetric):
    """A metric that compares features of query and gallery images.

    Its data samples are those of
    :func:`~csd_mmpretrain.evaluation.features.evaluate_features`, or those
    of a model whose ``predict`` gives a ``feature``; there all are queries but
    those with ``in_gallery``. Each set is sorted by ``sample_idx``; images
    that a sampler repeats count once.

    Args:
        memory (float): MiB for a block of similarities. Defaults to 256.
        device (str, optional): Where they are computed. Defaults to None, a
            GPU where there is one.
        **options: Of mmengine's ``BaseMetric``.
    """

    def __init__(self,
                 memory: float = MEMORY,
                 device: Optional[str] = None,
                 **options) -> None:
        super().__init__(**options)
        self.memory = memory
        self.device = device

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        if 'feature' not in data_samples[0]:
            raise ValueError(
                f'{type(self).__name__} reads features, and the predictions '
                "of this model have none. Put it into dict(type='KNNHook', "
                'metrics=..., query_dataloader=...) among the custom_hooks, '
                'which collects them from any model.')
        self.results.append(
            dict(
                features=torch.stack(
                    [s['feature'] for s in data_samples]).cpu(),
                labels=torch.cat([s['gt_label'] for s in data_samples]).cpu(),
                indices=np.array([s['sample_idx'] for s in data_samples]),
                in_gallery=np.array(
                    [s.get('in_gallery', False) for s in data_samples])))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        gallery = self._split(results, True)
        query = self._split(results, False)
        self.check_sizes(len(gallery.labels), len(query.labels))
        return self.compare(gallery, query)

    def _split(self, results: List[dict],
               in_gallery: bool) -> LabelledFeatures:
        chosen = np.concatenate([r['in_gallery'] for r in results])
        chosen = np.flatnonzero(chosen == in_gallery)
        indices = np.concatenate([r['indices'] for r in results])[chosen]
        chosen = chosen[np.unique(indices, return_index=True)[1]]
        device = self.device or get_device()
        return LabelledFeatures(*(
            torch.cat([r[name] for r in results])[chosen].to(device)
            for name in LabelledFeatures._fields))

    @abstractmethod
    def check_sizes(self, num_gallery: int, num_query: int) -> None:
        """Raise a ValueError if there are too few images for the metric."""

    @abstractmethod
    def compare(self, gallery: LabelledFeatures,
                query: LabelledFeatures) -> Dict[str, float]:
        """Compute the numbers by name from gallery and query images."""
