"""Reports of what is wrong with the data of a run."""
import os
from collections import defaultdict
from itertools import chain
from pathlib import Path
from typing import Any, Iterable, List, Mapping, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset

from csd_mmpretrain.utils.cores import usable_cores
from csd_mmpretrain.utils.num_classes import num_classes_in
from csd_mmpretrain.utils.wording import first_names

from .data_root import LOADERS, check_dataset_folders
from .image_files import EXTENSIONS, find_broken_images
from .same_classes import compare_classes, dataset_classes
from .samples import Sample, image_paths, list_samples, source_datasets
from .shared_images import shared_images

_PURPOSES = dict(zip(LOADERS, ('training', 'validation', 'test')))
WORKERS = min(8, usable_cores())
REMEDY = (
    'Unpack or copy the dataset again, check data_root (or CSD_DATA_ROOT), '
    'take these files out of the list, or convert those of unusual kinds '
    '(shown differently, not read, too large) to 8-bit RGB of a moderate '
    'size.')


def format_faults(broken: Iterable[Tuple[str, str]],
                  shown: Optional[int] = None) -> str:
    """Write a line for each fault with its count, and below it the files.

    Args:
        broken (Iterable[tuple[str, str]]): Path and fault of each file.
        shown (int, optional): Files of a fault to name. Defaults to None,
            all.

    Example:
        >>> print(format_faults([('a.png', 'empty'), ('b.png', 'empty')], 1))
        empty: 2
          a.png
          ... and 1 more
    """
    groups = defaultdict(list)
    for path, fault in broken:
        groups[fault].append(path)
    lines = []
    for fault, paths in sorted(groups.items()):
        lines += [f'{fault}: {len(paths)}', *(f'  {p}' for p in paths[:shown])]
        if len(paths) > len(paths[:shown]):
            lines.append(f'  ... and {len(paths[shown:])} more')
    return '\n'.join(lines)


def check_files(samples: Sequence[Sample], decode: bool = False,
                title: Optional[str] = None) -> List[Tuple[str, str]]:
    """Find the broken files of samples, see :func:`find_broken_images`."""
    others = {sample.path for sample in samples if not sample.is_image}
    return find_broken_images(
        image_paths(samples), decode, WORKERS, title, others)


def check_classes(datasets: Mapping[str, Dataset],
                  samples: Mapping[str, Sequence[Sample]],
                  num_classes: Optional[int]) -> None:
    """Check that datasets number the same classes, those of the model.

    Args:
        datasets (Mapping[str, Dataset]): By their purpose, 'training' first.
        samples (Mapping[str, Sequence[Sample]]): The same datasets' samples.
        num_classes (int, optional): Of the model. Defaults to None, those of
            each dataset.

    Raises:
        ValueError: If the classes of two datasets differ, or are the same
            where they must be unseen, or a label is outside the model's.
    """
    # Before the labels, which a folder too many shifts.
    classes = {name: dataset_classes(data) for name, data in datasets.items()}
    for name in classes:
        compare_classes(datasets.get('training'), datasets[name], name)
    for name, dataset in datasets.items():
        title = f'{type(dataset).__name__} ({name} data)'
        names = classes[name] or ()
        number = num_classes or len(names)
        for index, sample in enumerate(samples[name] if number else ()):
            for label in whole_numbers(sample.label):
                if 0 <= label < number:
                    continue
                raise ValueError(
                    f'{title}: label {label} of '
                    f"'{sample.path or f'sample {index}'}' is outside "
                    f'0..{number - 1}.' + _compare(samples[name], names,
                                                   number)
                    + " Set num_classes of the model's head to the dataset's "
                    'number of classes, or correct the annotation.')


def _compare(samples: Sequence[Sample], names: Sequence[str],
             number: int) -> str:
    """Tell the dataset's number of classes, and those without an image."""
    if not names or len(names) == number:
        return ''
    used = {label for sample in samples
            for label in whole_numbers(sample.label)}
    empty = [repr(name) for label, name in enumerate(names)
             if label not in used]
    text = f' The dataset has {len(names)} classes'
    if empty:
        text += (f', of which {first_names(empty, 5)} have no image; remove '
                 'their folders if they are no classes')
    return text + '.'


def whole_numbers(label: Any) -> List[int]:
    """List the labels of a sample, of one or of several classes."""
    if hasattr(label, 'tolist'):
        label = label.tolist()
    labels = label if isinstance(label, (list, tuple, set)) else [label]
    return [value for value in labels if isinstance(value, int)]


def class_count_note(dataset: Dataset,
                     num_classes: Optional[int]) -> Optional[str]:
    """Tell if a dataset and a model have different numbers of classes."""
    names = dataset_classes(dataset)
    if not num_classes or not names or num_classes == len(names):
        return None
    return (f'The model has {num_classes} classes, the training data '
            f'{len(names)} ({first_names(names, 5)}). Set num_classes of the '
            f'head to {len(names)}, if no others are meant; remove the '
            'folders that are no classes.')


def shared_images_note(datasets: Mapping[str, Dataset],
                       samples: Mapping[str, Sequence[Sample]]
                       ) -> Optional[str]:
    """Tell which images of other datasets are among those of the training.

    Datasets of which a wrapper takes a part are left out.
    """
    paths = {
        name: image_paths(samples[name]) for name, dataset in datasets.items()
        if len(dataset) >= len(samples[name])}
    if 'training' not in paths:
        return None
    training = paths.pop('training')
    found = {name: shared_images(part, training)
             for name, part in paths.items()}
    texts = [
        f'{len(shared)} of {len(paths[name])} images of the {name} data '
        f'({first_names(shared, 3)})'
        for name, shared in found.items() if shared]
    if not texts:
        return None
    return (f'{" and ".join(texts)} are among the training images too, or '
            'copies of them, so their score says little about other images. '
            'Take them out of one of the two, unless it is meant so.')


def check_data(cfg: Config) -> bool:
    """Decode every image of a config's data, and print all that is wrong.

    Labels and classes are checked as before the first step of a training.
    Image files that are left out for their extension are named, and those
    that are in the training and in another split.

    Returns:
        bool: Whether a training would start.

    Raises:
        FileNotFoundError: If the data's folder is missing.
        ValueError: If a list of images has a line that does not parse.
    """
    loaders = [name for name in LOADERS if cfg.get(name)]
    check_dataset_folders(cfg)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    datasets = {_PURPOSES[name]: DATASETS.build(cfg[name].dataset)
                for name in loaders}
    samples = {name: list_samples(data) for name, data in datasets.items()}
    every = [*chain(*samples.values())]
    broken = check_files(every, True, 'Decoding the data')
    print(f'{len(broken)} of {len(image_paths(every))} image files of '
          f'{", ".join(loaders)} are missing or broken.')
    if broken:
        print(format_faults(broken) + '\n' + REMEDY)
    number = num_classes_in((cfg.get('model') or {}).get('head'))
    right = not broken
    try:
        check_classes(datasets, samples, number)
    except ValueError as error:
        print(error)
        right = False
    notes = [shared_images_note(datasets, samples)]
    if 'training' in datasets:
        notes.append(class_count_note(datasets['training'], number))
    sources = chain(*map(source_datasets, datasets.values()))
    notes += map(_left_out_note, sources)
    for text in filter(None, dict.fromkeys(notes)):
        print(text)
    return right


def _left_out_note(dataset: Dataset) -> Optional[str]:
    found = left_out_images(dataset)
    if not found:
        return None
    return (
        f'Image files that are left out in {Path(dataset.img_prefix)}: '
        f'{len(found)} ({first_names(found, 3)}). The dataset reads '
        f'{", ".join(sorted(dataset.extensions))} alone. Convert them to one '
        'of these, or set `extensions` of the dataset.')


def left_out_images(dataset: Dataset) -> List[str]:
    """List the images in its folders whose extension a dataset leaves out.

    Args:
        dataset (Dataset): Only a ``CustomDataset`` without a list leaves any
            out.

    Returns:
        list[str]: The files, in order.
    """
    if not isinstance(dataset, CustomDataset) or dataset.ann_file:
        return []
    top = os.path.normpath(dataset.img_prefix)
    return sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(top, followlinks=True)
        if folder != top or not dataset.with_label for name in names
        if Path(name).suffix.lower() in EXTENSIONS and name[0] != '.'
        and not dataset.is_valid_file(name))
