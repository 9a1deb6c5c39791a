"""Predictions as a JSON file."""
from typing import Any, List, Sequence

import mmengine
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS


@METRICS.register_module()
class DumpPredictions(BaseMetric):
    """Write scores, labels and files of images to a JSON file.

    Args:
        path (str): The file.
        **options: Of mmengine's ``BaseMetric``.

    Raises:
        ValueError: If an image has no scores.

    Example:
        ::

            test_evaluator = dict(type='DumpPredictions', path='found.json')
    """

    default_prefix = ''  # it has no scores; None would warn of that

    def __init__(self, path: str, **options) -> None:
        super().__init__(**options)
        self.path = path

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            if 'pred_score' not in sample:
                raise ValueError(
                    f'{self.path}: a .json file takes the scores of classes, '
                    f'but there are only {", ".join(sample)}. Write a .pkl.')
            self.results.append(dict(
                img_path=sample.get('img_path'), **{
                    name: sample[name].tolist()
                    for name in ('gt_label', 'pred_label', 'pred_score')
                    if name in sample}))

    def compute_metrics(self, results: List[dict]) -> dict:
        mmengine.dump(results, self.path)
        return {}
