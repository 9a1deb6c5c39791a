"""A check of the data before the first step."""
import os
from collections import Counter
from itertools import chain
from typing import Any, Dict, List, Optional, Sequence

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch.utils.data import Dataset

from csd_mmpretrain.datasets.data_check import (
    REMEDY,
    WORKERS,
    format_faults,
)
from csd_mmpretrain.datasets.image_files import find_broken_images
from csd_mmpretrain.datasets.same_classes import check_classes, dataset_classes
from csd_mmpretrain.datasets.samples import (
    Sample,
    image_paths,
    list_samples,
)
from csd_mmpretrain.layers.feature_queue import FeatureQueue
from csd_mmpretrain.utils.num_classes import num_classes_of
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
    (:func:`~csd_mmpretrain.datasets.class_split.ClassSplit`). Files are
    judged by their first and last bytes and their header, 12,000 photos in
    about a second; only kinds that OpenCV may show differently are decoded.
    All bad files are reported at once.
    ``tools/train.py CONFIG --check-data`` decodes every image instead.

    A warning tells if no class of the training data has two images, as a
    contrastive loss then finds no other image of an anchor's class, if it
    has fewer classes than the model, or fewer images than a feature queue
    has places.

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
                # Before the labels, which a folder too many shifts.
                if len(datasets) > 1:
                    check_classes(*datasets.values(), 'validation')
                number = num_classes_of(runner.model)
                for purpose, dataset in datasets.items():
                    _check_labels(
                        f'{type(dataset).__name__} ({purpose} data)',
                        samples[purpose],
                        number or len(dataset_classes(dataset) or ()))
            except (FileNotFoundError, ValueError) as found:
                error = [found]
            if 'training' in samples:
                _warn(runner, samples['training'], datasets['training'])
        broadcast_object_list(error)
        if error[0] is not None:
            raise error[0]


def _check_files(samples: Dict[str, Sequence[Sample]], work_dir: str) -> None:
    """Raise one error for all broken images; list many in work_dir."""
    paths = image_paths(chain(*samples.values()))
    broken = find_broken_images(paths, workers=WORKERS)
    if not broken:
        return
    text = format_faults(broken, SHOWN)
    if text != format_faults(broken):
        path = os.path.join(work_dir, 'broken_images.txt')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(format_faults(broken) + '\n')
        text += f'\nAll of them are listed in {path}.'
    kind = FileNotFoundError if all(
        fault == 'missing' for _, fault in broken) else ValueError
    raise kind(
        f'{len(broken)} of {len(paths)} image files of the '
        f'{" and ".join(samples)} data are missing or broken, expected all '
        f'to be whole:\n{text}\n{REMEDY}')


def _check_labels(title: str, samples: Sequence[Sample],
                  num_classes: int) -> None:
    """Raise an error for the first label outside the classes, if known."""
    for index, sample in enumerate(samples if num_classes else ()):
        for label in _whole_numbers(sample.label):
            if not 0 <= label < num_classes:
                raise ValueError(
                    f'{title}: label {label} of '
                    f"'{sample.path or f'sample {index}'}' is outside "
                    f'0..{num_classes - 1}. Set num_classes of the '
                    "model's head to the dataset's number of classes, or "
                    'correct the annotation.')


def _whole_numbers(label: Any) -> List[int]:
    """List the labels of a sample, of one or of several classes."""
    if hasattr(label, 'tolist'):
        label = label.tolist()
    labels = label if isinstance(label, (list, tuple, set)) else [label]
    return [value for value in labels if isinstance(value, int)]


def _warn(runner: Runner, samples: Sequence[Sample],
          dataset: Dataset) -> None:
    """Warn if classes, images or the model suit a training badly."""
    labels = (_whole_numbers(sample.label) for sample in samples)
    counts = Counter(label[0] for label in labels if len(label) == 1)
    if counts and max(counts.values()) < 2:
        runner.logger.warning(
            'In the training data no class has two images, so a contrastive '
            'loss finds no positives but the second view of the same image. '
            'Give at least some classes two images or more.')
    number, classes = num_classes_of(runner.model), dataset_classes(dataset)
    if number and classes and number > len(classes):
        runner.logger.warning(
            f'The model has {number} classes, the training data '
            f'{len(classes)}. Set num_classes of the head to {len(classes)}, '
            'if the others are not meant.')
    images = len({sample.path or index
                  for index, sample in enumerate(samples)})
    for name, queue in unwrap(runner.model).named_modules():
        if (isinstance(queue, FeatureQueue)
                and 0 < images * queue.per_image < queue.length):
            runner.logger.warning(
                f'model.{name}: the queue of {queue.length} features is '
                f'longer than an epoch of {images} training images, so each '
                'image meets older features of itself there, and they count '
                'as other images of its class. Set '
                f'model.{name.rpartition(".")[0]}.queue_len='
                f'{images * queue.per_image}.')
