"""What the features are worth, measured during a training."""
from typing import Optional, Sequence, Union

from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import IterBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS
from torch.distributed.fsdp import FullyShardedDataParallel

from csd_mmpretrain.datasets.same_classes import (
    check_same_classes,
    dataset_classes,
)
from csd_mmpretrain.runtime.undisturbed import (
    same_random_states,
    validated_weights,
)
from csd_mmpretrain.utils.unwrap import unwrap

from .feature_evaluation import evaluate_features
from .feature_metric import FeatureMetric
from .features import STAGES


@HOOKS.register_module()
class KNNHook(Hook):
    """Judge features by kNN and retrieval, again and again in a training.

    Before the first step, after every ``interval`` epochs and after the last
    (iterations, in a training that counts these), the model's features of
    both data loaders go to the metrics: the first numbers are those of the
    weights that the training starts from. All go to the log, the message hub
    and the visualizer's back ends, under names such as ``knn/top1_k20`` and
    ``retrieval/train-gallery/rank1``. It fits any classifier and any
    self-supervised model: what ``extract_feat`` gives is judged (of a model
    with a teacher, what its ``extract_feat`` chooses; of a run with
    ``EMAHook`` the averages, as in its validation). The training goes on as
    if nothing had been measured: modes, random generators, batch norm's
    statistics and buffers stay as they are. With several processes each
    computes its part of the features.

    Args:
        query_dataloader (dict): Over the images that are judged, with a
            pipeline without random augmentation; with labels, even where the
            training has none.
        metrics (dict | Sequence[dict]): Metrics of features, such as
            ``KNNAccuracy`` and ``RetrievalMetric``.
        gallery_dataloader (dict, optional): Over the images that are looked
            for or vote. Defaults to None: the queries are compared with each
            other, as retrieval under the protocol ``leave-one-out`` does.
        interval (int): Epochs, or iterations, between two evaluations.
            Defaults to 1.
        stage (str, optional): ``'backbone'``, ``'neck'`` or
            ``'pre_logits'``, as in
            :func:`~csd_mmpretrain.evaluation.features.batch_features`.
            Defaults to None, what ``extract_feat`` gives by itself.

    Raises:
        ValueError: If ``interval`` is not positive or ``stage`` unknown;
            before the first step, if the data is too small for a metric, or
            FSDP shares the weights among processes.
        TypeError: If a metric is none of features.

    Source: choice.

    Example:
        ::

            custom_hooks = [
                dict(
                    type='KNNHook',
                    gallery_dataloader=dict(
                        batch_size=64, num_workers=2, dataset=train_dataset,
                        sampler=dict(type='DefaultSampler', shuffle=False)),
                    query_dataloader=dict(
                        batch_size=64, num_workers=2, dataset=test_dataset,
                        sampler=dict(type='DefaultSampler', shuffle=False)),
                    metrics=[
                        dict(type='KNNAccuracy', ks=(10, 20)),
                        dict(type='RetrievalMetric', protocol='train-gallery')
                    ],
                    interval=10)
            ]
    """

    # After the validation's log, before the checkpoint that stores the hub.
    priority = 'LOW'

    def __init__(self,
                 query_dataloader: dict,
                 metrics: Union[dict, Sequence[dict]],
                 gallery_dataloader: Optional[dict] = None,
                 interval: int = 1,
                 stage: Optional[str] = None) -> None:
        if interval < 1:
            raise ValueError(f'KNNHook: interval={interval} must be a '
                             'positive integer.')
        if stage not in (None, *STAGES):
            raise ValueError(f'KNNHook: there is no stage={stage!r}; choose '
                             f'one of {", ".join(STAGES)}, or leave it out.')
        self.gallery_dataloader = gallery_dataloader
        self.query_dataloader = query_dataloader
        self.evaluator = Evaluator(metrics)
        self.interval = interval
        self.stage = stage
        for metric in self.evaluator.metrics:
            if not isinstance(metric, FeatureMetric):
                raise TypeError(
                    f'KNNHook: {type(metric).__name__} is no metric of '
                    'features. Choose KNNAccuracy or RetrievalMetric; others '
                    'belong to val_evaluator.')

    def before_train(self, runner: Runner) -> None:
        """Build the data loaders, check their sizes, judge the start.

        Args:
            runner (Runner): The runner of the training.
        """
        if any(isinstance(module, FullyShardedDataParallel)
               for module in runner.model.modules()):
            raise ValueError(
                'KNNHook computes features outside of the training step, but '
                'FSDP shares the weights among the processes. Leave the hook '
                'out, and evaluate checkpoints with '
                'tools/evaluate_features.py.')
        with same_random_states():
            self._gallery = None
            if self.gallery_dataloader is not None:
                self._gallery = runner.build_dataloader(
                    self.gallery_dataloader)
            self._query = runner.build_dataloader(self.query_dataloader)
        if self._gallery is not None:
            check_same_classes(
                dataset_classes(self._gallery.dataset),
                dataset_classes(self._query.dataset), 'query')
        num_gallery = len(self._gallery.dataset) if self._gallery else 0
        for metric in self.evaluator.metrics:
            metric.check_sizes(num_gallery, len(self._query.dataset))
        if runner.iter == 0:
            self._evaluate(runner, 0)

    def after_train_epoch(self, runner: Runner) -> None:
        """Evaluate, if it is due.

        Args:
            runner (Runner): The runner of the training.
        """
        if (not isinstance(runner.train_loop, IterBasedTrainLoop)
                and (self.every_n_epochs(runner, self.interval)
                     or self.is_last_train_epoch(runner))):
            self._evaluate(runner, runner.epoch + 1)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        """Evaluate, if it is due in a training that counts iterations.

        Args:
            runner (Runner): The runner of the training.
            batch_idx (int): Index of the batch.
            data_batch (dict, optional): The batch.
            outputs (dict, optional): What the step logs.
        """
        if (isinstance(runner.train_loop, IterBasedTrainLoop)
                and (self.every_n_train_iters(runner, self.interval)
                     or self.is_last_train_iter(runner))):
            self._evaluate(runner, runner.iter + 1)

    def _evaluate(self, runner: Runner, step: int) -> None:
        with same_random_states(), validated_weights(runner.hooks):
            found = evaluate_features(
                unwrap(runner.model), self._gallery, self._query,
                self.evaluator, self.stage)
        for name, value in found.items():
            runner.message_hub.update_scalar(name, value)
        if runner.rank == 0:
            runner.visualizer.add_scalars(found, step=step)
        numbers = '  '.join(f'{k}: {v:.2f}' for k, v in found.items())
        runner.logger.info(f'Features after {step}: {numbers}')
