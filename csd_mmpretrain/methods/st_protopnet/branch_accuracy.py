"""Top-1 accuracy of each branch alone, and of both."""
from typing import Dict, List, Sequence

from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS

from .st_protopnet_head import BRANCHES


@METRICS.register_module()
class BranchAccuracy(BaseMetric):
    """Report how well each branch of ``STProtoPNetHead`` does alone.

    Args:
        **options: Of mmengine's ``BaseMetric``.

    Example:
        >>> val_evaluator = [dict(type='Accuracy', topk=(1, 5)),
        ...                  dict(type='BranchAccuracy')]
    """

    default_prefix = 'branches'

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            label = sample['gt_label']
            right = {name: bool(sample[f'{name}_label'] == label)
                     for name in BRANCHES}
            self.results.append(
                dict(right, both=bool(sample['pred_label'] == label)))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        return {name: 100 * sum(row[name] for row in results) / len(results)
                for name in (*BRANCHES, 'both')}
