"""A hook that looks through the data before the first step."""
import os
from collections import Counter
from itertools import chain
from typing import Any, Dict, Iterable, List, Optional, Sequence

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch.utils.data import Dataset

from csd_mmpretrain.checkpoints.checkpoint_match import num_classes_of
from csd_mmpretrain.datasets.data_check import (
    REMEDY,
    WORKERS,
    format_faults,
    image_paths,
)
from csd_mmpretrain.datasets.image_files import find_broken_images
from csd_mmpretrain.datasets.same_classes import (
    check_same_classes,
    dataset_classes,
)
from csd_mmpretrain.datasets.samples import Sample, list_samples

SHOWN = 5


@HOOKS.register_module()
class DatasetCheckHook(Hook):
    """Stop before the first step if images are broken or labels misfit.

    Before training (training and validation data), validation and test, each
    dataset is looked through once: every image file exists, is whole and
    loads as it looks (by its first and last bytes and its header; only kinds
    that OpenCV may show differently are decoded; 12,000 photos take about a
    second), every label is one of the model's classes, and training and
    validation data number the same classes. All bad files are
    reported at once. ``tools/train.py CONFIG --check-data`` decodes every
    image instead. A training set in which no class has two images gets a
    warning, because the contrastive loss then finds no other image of an
    anchor's class; so does one with fewer classes than the model.

    It works with any mmpretrain dataset and wrapper. Files behind another
    backend than the local disk are not looked at. In distributed runs rank 0
    looks, and all ranks stop.

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
        """Check the training data, and the validation data if there is."""
        datasets = dict(training=runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            datasets['validation'] = runner.val_dataloader.dataset
        self._check(runner, datasets)

    def before_val(self, runner: Runner) -> None:
        """Check the validation data."""
        self._check(runner, dict(validation=runner.val_dataloader.dataset))

    def before_test(self, runner: Runner) -> None:
        """Check the test data."""
        self._check(runner, dict(test=runner.test_dataloader.dataset))

    def _check(self, runner: Runner, datasets: Dict[str, Dataset]) -> None:
        """Check datasets, unless they were checked before."""
        datasets = {
            purpose: dataset
            for purpose, dataset in datasets.items()
            if not any(dataset is seen for seen in self._checked)
        }
        if not self.enabled or not datasets:
            return
        self._checked += datasets.values()
        error: List[Optional[Exception]] = [None]
        if is_main_process():
            samples = {p: list_samples(d) for p, d in datasets.items()}
            try:
                check_files(samples, runner.work_dir)
                # Before the labels, which a folder too many shifts.
                if len(datasets) > 1:
                    check_same_classes(
                        *map(dataset_classes, datasets.values()), 'validation')
                for purpose, dataset in datasets.items():
                    check_labels(
                        f'{type(dataset).__name__} ({purpose} data)',
                        samples[purpose], _num_classes(runner, dataset))
            except (FileNotFoundError, ValueError) as found:
                error = [found]
            if 'training' in samples:
                _warn_of_single_images(runner, samples['training'])
                _warn_of_spare_classes(runner, datasets['training'])
        broadcast_object_list(error)
        if error[0] is not None:
            raise error[0]


def check_files(samples: Dict[str, Sequence[Sample]], work_dir: str) -> None:
    """Raise one error for all broken image files.

    Args:
        samples (dict[str, Sequence[Sample]]): Samples by what they are for.
        work_dir (str): Where the whole list is written if it is long.

    Raises:
        FileNotFoundError: If all broken files are missing ones.
        ValueError: If some are there, but broken.
    """
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


def check_labels(title: str, samples: Iterable[Sample],
                 num_classes: Optional[int]) -> None:
    """Raise an error for the first label that is none of the classes.

    Args:
        title (str): What to call the dataset.
        samples (Iterable[Sample]): Its samples.
        num_classes (int | None): Number of classes; None checks nothing.

    Raises:
        ValueError: If a label is outside 0..``num_classes`` - 1.
    """
    if num_classes is None:
        return
    for index, sample in enumerate(samples):
        for label in _whole_numbers(sample.label):
            if not 0 <= label < num_classes:
                raise ValueError(
                    f'{title}: label {label} of '
                    f"'{sample.path or f'sample {index}'}' is outside "
                    f'0..{num_classes - 1}. Set num_classes of the '
                    "model's head to the dataset's number of classes, or "
                    'mend the annotation.')


def _whole_numbers(label: Any) -> List[int]:
    """The labels of a sample, of one or of several classes."""
    if hasattr(label, 'tolist'):
        label = label.tolist()
    labels = label if isinstance(label, (list, tuple, set)) else [label]
    return [value for value in labels if isinstance(value, int)]


def _num_classes(runner: Runner, dataset: Dataset) -> Optional[int]:
    """Number of classes by the model's head, or else by the dataset."""
    number = num_classes_of(runner.model)
    classes = dataset_classes(dataset)
    return len(classes) if number is None and classes else number


def _warn_of_single_images(runner: Runner, samples: Sequence[Sample]) -> None:
    """Warn if no class has two images."""
    counts = Counter(
        label[0] for label in map(_whole_numbers, (s.label for s in samples))
        if len(label) == 1)
    if counts and max(counts.values()) < 2:
        runner.logger.warning(
            'In the training data no class has two images, so a contrastive '
            'loss finds no positives but the second view of the same image. '
            'Give at least some classes two images or more.')


def _warn_of_spare_classes(runner: Runner, dataset: Dataset) -> None:
    """Warn if the model has classes that the data does not name."""
    number, classes = num_classes_of(runner.model), dataset_classes(dataset)
    if number and classes and number > len(classes):
        runner.logger.warning(
            f'The model has {number} classes, the training data '
            f'{len(classes)}. Set num_classes of the head to {len(classes)}, '
            'if the others are not meant.')
