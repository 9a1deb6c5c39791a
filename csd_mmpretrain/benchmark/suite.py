"""A suite: which configs are trained, with which seeds, on which images."""
import random
from collections import defaultdict
from copy import deepcopy
from math import prod
from pathlib import Path
from typing import (
    Any,
    Dict,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from csd_mmpretrain.datasets.dataset_settings import (
    build_without_pipeline,
    shared_pipeline,
    source_settings,
)
from csd_mmpretrain.datasets.group_split import group_folds
from csd_mmpretrain.datasets.same_classes import dataset_classes
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.utils.protocol import views_per_image
from csd_mmpretrain.utils.type_name import type_name
from csd_mmpretrain.utils.wording import first_names

KEYS = ('baseline', 'runs', 'seeds', 'splits', 'options', 'metric')


class Method(NamedTuple):
    """A row of the table: a config file with changed settings."""

    name: str
    title: str
    config: str
    options: Dict[str, Any]


class Suite(NamedTuple):
    """A checked suite file, see :func:`load_suite`."""

    name: str
    methods: List[Method]
    baseline: str
    seeds: List[int]
    splits: Optional[dict]
    metric: str


class Cell(NamedTuple):
    """One training: a method, a seed and, in cross-validation, a split."""

    method: str
    seed: int
    split: Optional[int] = None

    @property
    def path(self) -> str:
        """Its folder in that of the suite."""
        split = '' if self.split is None else f'_split{self.split}'
        return f'{self.method}/seed{self.seed}{split}'


def load_suite(path: str) -> Suite:
    """Read a suite file.

    Args:
        path (str): A Python config as in configs/benchmark/README.md. Its
            ``splits`` are the arguments ``num``, ``shots``, ``seed`` and
            ``keep_small`` of :func:`split_images`; without, all training
            images are trained on and the configs' validation data are scored.

    Returns:
        Suite: The checked suite.

    Raises:
        FileNotFoundError: If the suite or one of its configs is missing.
        ValueError: If a key is unknown or missing, or its value is invalid.
    """
    suite = load_config(path)
    faults = [f'unknown `{key}`' for key in suite
              if key not in KEYS and not key.startswith('_')]
    faults += [f'`{key}` is missing or empty' for key in KEYS[:3]
               if not suite.get(key)]
    if faults:
        raise ValueError(f'{path}: {"; ".join(faults)}. A suite has '
                         f'{", ".join(KEYS)}.')
    splits, runs = suite.get('splits'), suite['runs']
    if splits is not None and not {'num'} <= set(splits) <= {
            'num', 'shots', 'seed', 'keep_small'}:
        raise ValueError(f'{path}: splits={dict(splits)} must have `num`, and '
                         'may have `shots`, `seed` and `keep_small`.')
    if suite['baseline'] not in runs:
        raise ValueError(f"{path}: baseline={suite['baseline']!r} is none of "
                         f'the runs {first_names(list(runs), 5)}.')
    methods = []
    for name, run in runs.items():
        config = Path(path).parent / run.get('config', '')
        if not config.is_file():
            raise FileNotFoundError(
                f'{path}: runs.{name}.config={run.get("config")!r} is no file '
                "beside the suite. Write it relative to the suite's folder.")
        options = {**(suite.get('options') or {}), **run.get('options', {})}
        methods.append(
            Method(name, run.get('title', name), str(config), options))
    return Suite(
        Path(path).stem, methods, suite['baseline'], list(suite['seeds']),
        splits and dict(splits), suite.get('metric', 'accuracy/top1'))


def suite_cells(suite: Suite) -> List[Cell]:
    """List the trainings of a suite, all methods of a seed together.

    So a suite that was stopped has trained all methods alike.
    """
    splits = range(suite.splits['num']) if suite.splits else [None]
    return [
        Cell(method.name, seed, split) for seed in suite.seeds
        for split in splits for method in suite.methods
    ]


def load_method(method: Method
                ) -> Tuple[Config, List[int], Optional[Sequence[str]]]:
    """Read a whole config, the training images' labels and class names."""
    cfg = load_config(method.config, method.options)
    dataset = build_without_pipeline(cfg.train_dataloader.dataset)
    labels = [int(dataset.get_data_info(i)['gt_label'])
              for i in range(len(dataset))]
    return cfg, labels, dataset_classes(dataset)


def cell_config(cfg: Config, labels: Sequence[int],
                classes: Optional[Sequence[str]], cell: Cell,
                splits: Optional[dict]) -> Tuple[Config, int]:
    """Make the config of one training.

    Args:
        cfg (Config): The method's; it is not changed.
        labels (Sequence[int]): Of the training images.
        classes (Sequence[str], optional): Their names.
        cell (Cell): The training.
        splits (dict, optional): Those of the suite.

    Returns:
        tuple[Config, int]: The config, and the number of images that the
        training sends through the backbone. Second views count by their
        fraction of pixels and crops of ``MultiView`` fully; images that only
        a teacher sees do not count.

    Raises:
        ValueError: If the config does not count epochs, or if for a split it
            has no validation or a training dataset without ``indices``.
    """
    if not cfg.train_cfg.get('max_epochs'):
        raise ValueError(
            f'{cell.method}: the config has no train_cfg.max_epochs, by which '
            'trainings are compared. Give its length in epochs.')
    cfg = deepcopy(cfg)
    cfg.merge_from_dict({'randomness.seed': cell.seed})
    images = len(labels)
    if splits:
        if cfg.get('val_dataloader') is None:
            raise ValueError(
                f'{cell.method}: cross-validation scores the held-out images '
                'with the pipeline of the val_dataloader, but the config has '
                'no val_dataloader. Take the config of a classifier, or leave '
                '`splits` out of the suite.')
        train = cfg.train_dataloader.dataset
        if train.get('indices') is not None or {'dataset', 'datasets'
                                                } & set(train):
            raise ValueError(
                f'{cell.method}: cross-validation sets the `indices` of a '
                f'plain dataset, but train_dataloader.dataset is {train.type} '
                'with a dataset inside or `indices` of its own. Take the '
                'wrapper or the indices out of the config.')
        kept, held_out = split_images(
            labels, cell.split, classes=classes, **splits)
        images = len(kept)
        cfg.val_dataloader.dataset = dict(
            train,
            pipeline=shared_pipeline(cfg.val_dataloader.dataset),
            indices=held_out)
        train.indices = kept
    views = prod(map(views_per_image, view_hooks(cfg))) * _crops(cfg)
    return cfg, round(views * images * cfg.train_cfg.max_epochs)


def view_hooks(cfg: Config) -> List[Hook]:
    """Build those hooks of a config that have ``views_per_image``."""
    hooks = []
    for settings in filter(None, (*(cfg.get('default_hooks') or {}).values(),
                                  *(cfg.get('custom_hooks') or []))):
        kind = settings['type']
        kind = HOOKS.get(kind) if isinstance(kind, str) else kind
        if hasattr(kind, 'views_per_image'):
            hooks.append(HOOKS.build(settings))
    return hooks


def _crops(cfg: Config) -> int:
    found = {
        prod(int(np.sum(step['num_views']))
             for step in source.get('pipeline') or ()
             if type_name(step['type']) == 'MultiView')
        for source in source_settings(cfg.train_dataloader.dataset)
    }
    if len(found) > 1:
        raise ValueError(
            'The datasets of the train_dataloader make different numbers of '
            f'views of an image ({first_names(sorted(map(str, found)), 5)}), '
            'so the images sent through the backbone cannot be counted. Give '
            'them the same `MultiView`.')
    return found.pop()


def split_images(labels: Sequence[int],
                 split: int,
                 num: int,
                 shots: Optional[int] = None,
                 seed: int = 0,
                 keep_small: bool = False,
                 classes: Optional[Sequence[str]] = None,
                 groups: Optional[Sequence[Union[int, str]]] = None
                 ) -> Tuple[List[int], List[int]]:
    """Divide training images into those to train on and those held out.

    Args:
        labels (Sequence[int]): The label of each image.
        split (int): Number of the split, from 0 to ``num - 1``.
        num (int): Number of splits.
        shots (int, optional): Train on this many images of each class, drawn
            anew for each split, and hold the others out. Defaults to None:
            stratified folds of equal size, each held out by one split.
        seed (int): Of the draw. Defaults to 0.
        keep_small (bool): Accept classes with too few images. One that has a
            single image, or no more than ``shots``, is trained on in every
            split; one that has fewer than ``num`` is held out by some folds.
            Defaults to False.
        classes (Sequence[str], optional): Their names, for the error.
            Defaults to None, their labels.
        groups (Sequence[int | str], optional): The group of each image, for
            folds in which a group is held out together, see
            :func:`~csd_mmpretrain.datasets.group_split.group_folds`. A class
            then counts groups, where it else counts images. Defaults to None.

    Returns:
        tuple[list[int], list[int]]: Indices, ascending.

    Raises:
        ValueError: If a class has too few images.
    """
    # scikit-learn's splitters would draw others than the published splits.
    members = defaultdict(list)
    for index, label in enumerate(labels):
        members[int(label)].append(index)
    least = num if shots is None else shots + 1
    counts = {label: len(indices if groups is None else {
        groups[i] for i in indices}) for label, indices in members.items()}
    small = [label for label, count in counts.items() if count < least]
    wanted = f'shots={shots}' if shots is not None else f'num={num} folds'
    if num < 2 and shots is None or shots is not None and shots < 1:
        raise ValueError(f'splits: {wanted} leave no image of a class to '
                         'train on. Give at least '
                         + ('2 folds.' if shots is None else '1 shot.'))
    if small and (not keep_small or len(small) == len(members)):
        names = [f'{classes[label] if classes else label} '
                 f'({counts[label]})' for label in small]
        unit = 'images' if groups is None else 'groups'
        raise ValueError(
            f'splits: {wanted} need {least} {unit} of each class, but '
            f'{len(small)} of {len(members)} classes have fewer: '
            f'{first_names(names, 5)}. Take fewer, add {unit}, or accept '
            'these classes: `keep_small=True` in the splits of a suite, '
            '--keep-small-classes of tools/kfold-cross-valid.py.')
    if groups is not None:
        folds = group_folds(labels, groups, num, seed)
        return (np.flatnonzero(folds != split).tolist(),
                np.flatnonzero(folds == split).tolist())
    held_out = set()
    dealt = 0
    for label, indices in members.items():
        if len(indices) == 1 or shots is not None and len(indices) <= shots:
            continue
        draw = random.Random(
            f'{seed}-{label}-{"folds" if shots is None else split}')
        draw.shuffle(indices)
        held_out.update(indices[(split - dealt) % num::num]
                        if shots is None else indices[shots:])
        # The next class goes on with the fold after the last one dealt to.
        dealt += len(indices)
    kept = [i for i in range(len(labels)) if i not in held_out]
    return kept, sorted(held_out)
