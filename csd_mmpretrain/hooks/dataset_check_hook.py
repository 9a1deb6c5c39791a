"""A check of the data before the first step."""
import os
from collections import Counter
from itertools import chain
from typing import Dict, Iterator, List, Optional, Sequence

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.evaluation import Accuracy, SingleLabelMetric
from mmpretrain.models import ClsHead
from mmpretrain.registry import HOOKS
from torch import nn
from torch.utils.data import Dataset

from csd_mmpretrain.datasets.data_check import (
    REMEDY,
    check_classes,
    check_files,
    class_count_note,
    format_faults,
    shared_images_note,
    whole_numbers,
)
from csd_mmpretrain.datasets.samples import (
    Sample,
    image_paths,
    list_samples,
)
from csd_mmpretrain.layers.feature_queue import FeatureQueue
from csd_mmpretrain.utils.num_classes import num_classes_of
from csd_mmpretrain.utils.protocol import (
    inference_model,
    takes_unlabelled,
)
from csd_mmpretrain.utils.unwrap import unwrap

SHOWN = 5


@HOOKS.register_module()
class DatasetCheckHook(Hook):
    """Stop before the first step if images are broken or labels misfit.

    Each dataset is checked once: the training and validation data before a
    training, the others before validation and test. Every image file must
    exist, be whole and load as it looks, every label must be one of the
    model's classes, and training and validation data must number the same
    classes, or none in common if the validation data has unseen classes
    (:func:`~csd_mmpretrain.datasets.class_split.ClassSplit`). A classifier of
    single labels needs one for each image. Files are judged by their first and
    last bytes and their header, 12,000 photos in about a second; only kinds
    that OpenCV may show differently are decoded. All bad files are reported at
    once.
    ``tools/train.py CONFIG --check-data`` decodes every image instead.

    A warning tells if no class of the training data has two images, as a
    contrastive loss then finds no other image of an anchor's class, if its
    number of classes is not the model's, if it has fewer images than a
    feature queue has places that cannot tell them apart, or if validation
    images are among those of the training.

    It works with any mmpretrain dataset and wrapper. Files behind another
    backend than the local disk are not checked. In distributed runs rank 0
    checks, and all ranks stop.

    Args:
        enabled (bool): Whether to check at all, for very large datasets on
            slow disks. Defaults to True.

    Raises:
        FileNotFoundError: If image files are missing.
        ValueError: If image files are broken in other ways, a label is
            outside the classes, or the classes of the splits differ.

    Example:
        >>> default_hooks = dict(dataset_check=dict(type='DatasetCheckHook'))
    """

    def __init__(self, enabled: bool = True):
        self.enabled = enabled
        self._checked: List[Dataset] = []

    def before_train(self, runner: Runner) -> None:
        datasets = dict(training=runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            datasets['validation'] = runner.val_dataloader.dataset
        self._check(runner, datasets)

    def before_val(self, runner: Runner) -> None:
        self._check(runner, dict(validation=runner.val_dataloader.dataset))

    def before_test(self, runner: Runner) -> None:
        self._check(runner, dict(test=runner.test_dataloader.dataset))

    def _check(self, runner: Runner, datasets: Dict[str, Dataset]) -> None:
        datasets = {
            purpose: dataset for purpose, dataset in datasets.items()
            if not any(dataset is seen for seen in self._checked)
        }
        if not self.enabled or not datasets:
            return
        self._checked += datasets.values()
        error: List[Optional[Exception]] = [None]
        if is_main_process():
            samples = {p: list_samples(d) for p, d in datasets.items()}
            try:
                _check_files(samples, runner.work_dir)
                for purpose, dataset in datasets.items():
                    if _needs_one_label(runner, purpose):
                        _check_one_label(
                            f'{type(dataset).__name__} ({purpose} data)',
                            samples[purpose])
                check_classes(datasets, samples,
                              num_classes_of(runner.model))
            except (FileNotFoundError, ValueError) as found:
                error = [found]
            else:
                for text in _notes(runner.model, datasets, samples):
                    runner.logger.warning(text)
        broadcast_object_list(error)
        if error[0] is not None:
            raise error[0]


def _check_files(samples: Dict[str, Sequence[Sample]], work_dir: str) -> None:
    """Raise one error for all broken images; list many in work_dir."""
    every = [*chain(*samples.values())]
    broken = check_files(every)
    if not broken:
        return
    text = format_faults(broken, SHOWN)
    if text != format_faults(broken):
        path = os.path.join(work_dir, 'broken_images.txt')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(format_faults(broken) + '\n')
        text += f'\nAll of them are listed in {path}.'
    kind = FileNotFoundError if all(
        fault.startswith('missing') for _, fault in broken) else ValueError
    raise kind(
        f'{len(broken)} of {len(image_paths(every))} image files of the '
        f'{" and ".join(samples)} data are missing or broken, expected all '
        f'to be whole:\n{text}\n{REMEDY}')


def _needs_one_label(runner: Runner, purpose: str) -> bool:
    """Whether the loss or a metric takes one class number per image."""
    if purpose == 'training':
        model = unwrap(runner.model)
        head = getattr(model, 'head', None)
        return (isinstance(inference_model(head), ClsHead)
                and not takes_unlabelled(model))
    loop = runner.test_loop if purpose == 'test' else runner.val_loop
    return any(isinstance(metric, (Accuracy, SingleLabelMetric))
               for metric in loop.evaluator.metrics)


def _check_one_label(title: str, samples: Sequence[Sample]) -> None:
    """Raise an error for the first image without exactly one label."""
    for index, sample in enumerate(samples):
        if len(whole_numbers(sample.label)) != 1:
            raise ValueError(
                f'{title}: '
                f"'{sample.path or f'sample {index}'}' has the label "
                f'{sample.label}, but the model or its metric takes one '
                'class number per image. Give the dataset with_label=True '
                'and a label for each image; for several labels per image '
                'choose a multi-label head (MultiLabelLinearClsHead) and '
                'metric (MultiLabelMetric).')


def _notes(model: nn.Module, datasets: Dict[str, Dataset],
           samples: Dict[str, Sequence[Sample]]) -> Iterator[str]:
    """Tell if classes, images or the model suit a training badly."""
    if 'training' not in datasets:
        return
    labels = (whole_numbers(sample.label) for sample in samples['training'])
    counts = Counter(label[0] for label in labels if len(label) == 1)
    if counts and max(counts.values()) < 2:
        yield (
            'In the training data no class has two images, so a contrastive '
            'loss finds no positives but the second view of the same image. '
            'Give at least some classes two images or more.')
    notes = [class_count_note(datasets['training'], num_classes_of(model))]
    if not takes_unlabelled(unwrap(model)):  # its training is to be judged
        notes.append(shared_images_note(datasets, samples))
    yield from filter(None, notes)
    images = len({sample.path or index
                  for index, sample in enumerate(samples['training'])})
    for name, queue in unwrap(model).named_modules():
        if not isinstance(queue, FeatureQueue):
            continue
        epoch = images * queue.per_image
        longest, span = epoch, 'an epoch'
        reason = ('each image meets older features of itself there, and they '
                  'count as other images of its class')
        if hasattr(queue, 'images'):
            longest, span = 2 * epoch, 'two epochs'
            reason = 'most of them are of a network that has learned since'
        if 0 < longest < queue.length:
            yield (
                f'model.{name}: the queue of {queue.length} features is '
                f'longer than {span} of {images} training images, so {reason}.'
                f' Set model.{name.rpartition(".")[0]}.queue_len={epoch}.')
