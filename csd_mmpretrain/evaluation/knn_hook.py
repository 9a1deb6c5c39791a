"""Quality of the features, measured during a training."""
from typing import Optional, Sequence, Union

from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.datasets.same_classes import (
    check_unseen_classes,
    compare_classes,
    dataset_classes,
    is_unseen,
)
from csd_mmpretrain.runtime.periodic_hook import PeriodicHook
from csd_mmpretrain.utils.unwrap import unwrap

from .feature_metric import FeatureMetric
from .features import STAGES, evaluate_features


@HOOKS.register_module()
class KNNHook(PeriodicHook):
    """Evaluate features by kNN and retrieval during a training.

    Before the first step, every ``interval`` epochs (iterations in an
    iteration-based training) and at the end, the metrics are computed from
    the features of both data loaders. The results go to the log, the message
    hub and the visualizer's back ends, under names such as
    ``knn/top1_k20`` and ``retrieval/train-gallery/rank1``. It works with any
    classifier and any self-supervised model: the features are those of
    ``extract_feat``. The training itself is not changed, see
    :class:`~csd_mmpretrain.runtime.periodic_hook.PeriodicHook`. Several
    processes share the work.

    Args:
        query_dataloader (dict): Data loader of the evaluated images, without
            random augmentation, with labels.
        metrics (dict | Sequence[dict]): ``KNNAccuracy``, ``RetrievalMetric``
            or other metrics of features.
        gallery_dataloader (dict, optional): Data loader of the neighbors.
            Defaults to None: the queries are compared with each other, as
            retrieval under the protocol ``leave-one-out`` does.
        interval (int): Epochs (iterations) between two evaluations. Defaults
            to 1.
        stage (str, optional): ``'backbone'``, ``'neck'`` or
            ``'pre_logits'``, as in
            :func:`~csd_mmpretrain.evaluation.features.collect_features`.
            Defaults to None, the default of ``extract_feat``.

    Raises:
        ValueError: If ``interval`` is not positive or ``stage`` unknown;
            before the first step, if the data is too small for a metric, or
            FSDP shards the weights.
        TypeError: If a metric is not one of features.

    Example:
        >>> loader = dict(batch_size=64, num_workers=2,
        ...               sampler=dict(type='DefaultSampler', shuffle=False))
        >>> custom_hooks = [dict(
        ...     type='KNNHook', interval=10,
        ...     gallery_dataloader=dict(loader, dataset=train_dataset),
        ...     query_dataloader=dict(loader, dataset=test_dataset),
        ...     metrics=[dict(type='KNNAccuracy', ks=(10, 20)),
        ...              dict(type='RetrievalMetric',
        ...                   protocol='train-gallery')])]
    """

    # After the validation's log, before the checkpoint that stores the hub.
    priority = 'LOW'
    looks_last = True
    tool = 'tools/evaluate_features.py'

    def __init__(self, query_dataloader: dict,
                 metrics: Union[dict, Sequence[dict]],
                 gallery_dataloader: Optional[dict] = None,
                 interval: int = 1, stage: Optional[str] = None) -> None:
        super().__init__(interval)
        if stage not in (None, *STAGES):
            raise ValueError(f'KNNHook: there is no stage={stage!r}; choose '
                             f'one of {", ".join(STAGES)}, or leave it out.')
        self.gallery_dataloader = gallery_dataloader
        self.query_dataloader = query_dataloader
        self.evaluator = Evaluator(metrics)
        self.stage = stage
        for metric in self.evaluator.metrics:
            if not isinstance(metric, FeatureMetric):
                raise TypeError(
                    f'KNNHook: {type(metric).__name__} is not a metric of '
                    "features. Use dict(type='RetrievalMetric', protocol="
                    "'leave-one-out') or KNNAccuracy here, and others in "
                    'val_evaluator.')

    def prepare(self, runner: Runner) -> None:
        self._gallery = None
        if self.gallery_dataloader is not None:
            self._gallery = runner.build_dataloader(self.gallery_dataloader)
        self._query = runner.build_dataloader(self.query_dataloader)
        num_gallery = 0
        if self._gallery is not None:
            num_gallery = len(self._gallery.dataset)
            compare_classes(self._gallery.dataset, self._query.dataset,
                            'query')
        if is_unseen(self._query.dataset):
            check_unseen_classes(
                dataset_classes(runner.train_dataloader.dataset),
                dataset_classes(self._query.dataset), 'query')
        for metric in self.evaluator.metrics:
            metric.check_sizes(num_gallery, len(self._query.dataset))

    def look(self, runner: Runner, step: int) -> None:
        found = evaluate_features(
            unwrap(runner.model), self._gallery, self._query, self.evaluator,
            self.stage)
        for name, value in found.items():
            runner.message_hub.update_scalar(name, value)
        if runner.rank == 0:
            runner.visualizer.add_scalars(found, step=step)
        numbers = '  '.join(f'{k}: {v:.2f}' for k, v in found.items())
        runner.logger.info(f'Features after {step}: {numbers}')
