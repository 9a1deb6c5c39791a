"""Checks of Cr-KD's data, and prototypes of length 1."""
from typing import Optional, Sequence

from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.datasets.same_classes import dataset_classes
from csd_mmpretrain.datasets.samples import list_samples
from csd_mmpretrain.utils.unwrap import unwrap

from .ncd_head import NCDHead
from .novel_class_discovery import NovelClassDiscovery

# Unlabelled photos of a batch for each cluster, below which there is a word.
ENOUGH = 3


@HOOKS.register_module()
class NovelDiscoveryHook(Hook):
    """Keep Cr-KD's prototypes at length 1, and check the data of stage 2.

    After every step all prototypes of an ``NCDHead`` are divided by their
    length. A warning tells if a batch has few unlabelled photos for the
    clusters, as they are then assigned by chance.

    Raises:
        TypeError: Before the first step, if the head is no ``NCDHead``.
        ValueError: Before the first step of stage 2, if there are no
            labelled photos or no unlabelled ones, more clusters than
            unlabelled photos, or other known classes than in stage 1.

    Source: Cr-KD (Gu et al., ICCV 2023), whose code normalizes before each
    step; the checks are choices.

    Example:
        ::

            default_hooks = dict(discovery=dict(type='NovelDiscoveryHook'))
    """

    def before_train(self, runner: Runner) -> None:
        model = unwrap(runner.model)
        self._head = getattr(model, 'head', None)
        if not isinstance(self._head, NCDHead):
            raise TypeError(
                'NovelDiscoveryHook keeps the prototypes of NCDHead, but the '
                f'head is {type(self._head).__name__}. Remove the hook from '
                'the config, or use NCDHead.')
        if isinstance(model, NovelClassDiscovery):
            check_classes(model.known_classes, model.head.num_known,
                          runner.train_dataloader.dataset)
            check_photos(runner, self._head)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: DATA_BATCH = None,
                         outputs: dict = None) -> None:
        self._head.normalize_prototypes()


def check_photos(runner: Runner, head: NCDHead) -> None:
    """Check that there are labelled photos, and enough without a label.

    Args:
        runner (Runner): With training data.
        head (NCDHead): With clusters.

    Raises:
        ValueError: If there are not.
    """
    labels = [sample.label
              for sample in list_samples(runner.train_dataloader.dataset)]
    labelled = [label for label in labels if label is not None]
    unlabelled = len(labels) - len(labelled)
    if not labelled or not unlabelled:
        raise ValueError(
            f'The training data has {len(labelled)} labelled and {unlabelled} '
            'unlabelled photos, but discovery needs both. Give '
            "train_dataloader.dataset=dict(type='NovelClasses', known=..., "
            'dataset=...), which takes the labels of novel classes away.')
    if max(labelled) >= head.num_known:
        raise ValueError(
            f'The training data has a label {max(labelled)}, but '
            f'model.head.num_known={head.num_known}. Labels of novel classes '
            'must not reach the training: take them away with NovelClasses '
            '(hide=True), or correct num_known.')
    if head.num_novel > unlabelled:
        raise ValueError(
            f'model.head.num_novel={head.num_novel} clusters are more than '
            f'the {unlabelled} unlabelled photos. Give fewer clusters, or '
            'more photos.')
    size = runner.train_dataloader.batch_sampler.batch_size
    expected = size * runner.world_size * unlabelled / len(labels)
    if expected < ENOUGH * head.num_novel:
        runner.logger.warning(
            f'A batch has {expected:.0f} unlabelled photos on average for '
            f'{head.num_novel} clusters, and below {ENOUGH} for each they '
            'are assigned much by chance. Raise train_dataloader.batch_size '
            f'to {-(-ENOUGH * head.num_novel * len(labels) // unlabelled)}, '
            'if memory allows.')


def check_classes(stage_one: Optional[Sequence[str]], known: int,
                  dataset: object) -> None:
    """Check that known classes are those of stage 1, in its order.

    Args:
        stage_one (Sequence[str], optional): Their names in the checkpoint of
            stage 1; None where it has none.
        known (int): Their number in the model.
        dataset (Dataset): The training data.

    Raises:
        ValueError: If they are not.
    """
    named = (getattr(dataset, 'metainfo', None) or {}).get('num_known', known)
    if named != known:
        raise ValueError(
            f'The training data has {named} known classes, but '
            f'model.head.num_known={known}. Give both the same number.')
    old, new = stage_one, dataset_classes(dataset)
    if not old or not new:
        return
    for i, (one, other) in enumerate(zip(old, new[:known])):
        if one != other:
            raise ValueError(
                f'Known class {i} is {one!r} in the checkpoint of stage 1, '
                f'{other!r} in the training data, so its scores would mean '
                'other classes. Give both stages the same `known` classes in '
                'the same order, and train stage 1 again where it had others.')
