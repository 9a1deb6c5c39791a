"""A suite: which configs are trained, with which seeds, on which images."""
import random
from collections import defaultdict
from copy import deepcopy
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmengine.config import Config, ConfigDict

from csd_mmpretrain.datasets.dataset_settings import (
    build_without_pipeline,
    shared_pipeline,
    source_settings,
)
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.utils.hook_settings import hook_settings
from csd_mmpretrain.utils.type_name import type_name
from csd_mmpretrain.utils.wording import first_names

KEYS = ('baseline', 'runs', 'seeds', 'splits', 'options', 'metric')
SPLIT_KEYS = ('num', 'shots', 'seed')


class Method(NamedTuple):
    """One row of the table.

    Attributes:
        name (str): Its key in the suite; the name of its folder.
        title (str): Its words in the table.
        config (str): Its config file.
        options (dict): Settings changed in it, by dotted key.
    """

    name: str
    title: str
    config: str
    options: Dict[str, Any]


class Suite(NamedTuple):
    """What is compared.

    Attributes:
        name (str): The name of its file.
        methods (list[Method]): The rows.
        baseline (str): Name of the row that the others are compared with.
        seeds (list[int]): Seeds of the runs.
        splits (dict, optional): Cross-validation on the training images, see
            :func:`split_images`; None trains on all of them and scores the
            validation data of the configs.
        metric (str): The validation's name of the score.
    """

    name: str
    methods: List[Method]
    baseline: str
    seeds: List[int]
    splits: Optional[dict]
    metric: str


class Cell(NamedTuple):
    """One training: a method, a seed and, in cross-validation, a split.

    Attributes:
        method (str): Name of the method.
        seed (int): ``randomness.seed``.
        split (int, optional): Number of the split.
    """

    method: str
    seed: int
    split: Optional[int] = None

    @property
    def path(self) -> str:
        """The folder of the cell in that of its suite."""
        split = '' if self.split is None else f'_split{self.split}'
        return f'{self.method}/seed{self.seed}{split}'


def load_suite(path: str) -> Suite:
    """Read a suite file.

    Args:
        path (str): A Python config with ``runs``, a dict of
            ``name=dict(config=..., title=..., options=...)`` with config
            files relative to the suite's folder; ``baseline``, one of the
            names; ``seeds``, a list; and as it likes ``splits``, ``options``
            of all runs and ``metric`` (``'accuracy/top1'``). Names with a
            leading underscore are the file's own.

    Returns:
        Suite: Checked.

    Raises:
        FileNotFoundError: If the suite or one of its configs is missing.
        ValueError: If a key is unknown, missing or does not fit.

    Example:
        ::

            baseline = 'plain'
            seeds = [1, 2, 3]
            runs = dict(
                plain=dict(config='../csdnet/grocery81_baseline.py'),
                erase=dict(
                    config='../csdnet/grocery81.py',
                    options={'default_hooks.ssdp.view.mode': 'erase'}))
    """
    suite = {
        key: value
        for key, value in load_config(path).items() if not key.startswith('_')
    }
    unknown = [key for key in suite if key not in KEYS]
    missing = [key for key in KEYS[:3] if not suite.get(key)]
    if unknown or missing:
        raise ValueError(
            f'{path}: ' + '; '.join(
                [f'unknown `{key}`' for key in unknown] +
                [f'`{key}` is missing or empty' for key in missing]) +
            f'. A suite has {", ".join(KEYS)}.')
    splits = suite.get('splits')
    strange = [key for key in splits or () if key not in SPLIT_KEYS]
    if splits is not None and (strange or 'num' not in splits):
        raise ValueError(f'{path}: splits={dict(splits)} must have `num`, and '
                         'may have `shots` and `seed`.')
    if suite['baseline'] not in suite['runs']:
        raise ValueError(
            f"{path}: baseline={suite['baseline']!r} is none of the runs "
            f'{first_names(list(suite["runs"]), 5)}.')
    methods = [
        _method(path, name, run, suite.get('options') or {})
        for name, run in suite['runs'].items()
    ]
    return Suite(
        Path(path).stem, methods, suite['baseline'], list(suite['seeds']),
        splits and dict(splits), suite.get('metric', 'accuracy/top1'))


def _method(suite: str, name: str, run: ConfigDict, options: dict) -> Method:
    config = Path(suite).parent / run.get('config', '')
    if not config.is_file():
        raise FileNotFoundError(
            f'{suite}: runs.{name}.config={run.get("config")!r} is no file '
            "beside the suite. Write it relative to the suite's folder.")
    return Method(name, run.get('title', name), str(config), {
        **options,
        **run.get('options', {})
    })


def suite_cells(suite: Suite) -> List[Cell]:
    """List the trainings of a suite, all methods of a seed together.

    So a suite that is stopped has compared all methods on what it has run.

    Args:
        suite (Suite): The suite.

    Returns:
        list[Cell]: In the order in which they are started.
    """
    splits = range(suite.splits['num']) if suite.splits else [None]
    return [
        Cell(method.name, seed, split) for seed in suite.seeds
        for split in splits for method in suite.methods
    ]


def load_method(method: Method) -> Tuple[Config, List[int]]:
    """Read a method's config, and the labels of its training images.

    Args:
        method (Method): The method.

    Returns:
        tuple[Config, list[int]]: The whole config, with the method's options,
        and a label per training image.
    """
    cfg = load_config(method.config, method.options)
    dataset = build_without_pipeline(cfg.train_dataloader.dataset)
    labels = (dataset.get_data_info(i)['gt_label']
              for i in range(len(dataset)))
    return cfg, [int(label) for label in labels]


def cell_config(cfg: Config, labels: Sequence[int], cell: Cell,
                splits: Optional[dict]) -> Tuple[Config, int]:
    """Make the config of one training.

    Args:
        cfg (Config): The method's, which is left as it is.
        labels (Sequence[int]): Of the training images.
        cell (Cell): The training.
        splits (dict, optional): That of the suite.

    Returns:
        tuple[Config, int]: The config, and the number of images that its
        training sends through the backbone: second views (smaller ones by
        their share of pixels) and the crops of ``MultiView`` are counted,
        what a teacher sees is not.

    Raises:
        ValueError: If the config does not count epochs, images cannot be
            left out of the training data, or nothing scores them.
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
                'splits: the config has no val_dataloader, so images that are '
                'held out would be scored by nothing. Leave `splits` out, or '
                'take configs of classifiers.')
        kept, held_out = split_images(labels, cell.split, **splits)
        images = len(kept)
        train = cfg.train_dataloader.dataset
        if train.get('indices') is not None or {'dataset', 'datasets'
                                                } & set(train):
            raise ValueError(
                'splits: train_dataloader.dataset is '
                f'{train.type} with a dataset inside or `indices` of its own; '
                'images are left out of a plain dataset alone. Take the '
                'wrapper or the indices out of the config.')
        cfg.val_dataloader.dataset = dict(
            train,
            pipeline=shared_pipeline(cfg.val_dataloader.dataset),
            indices=held_out)
        train.indices = kept
    return cfg, round(_views(cfg) * images * cfg.train_cfg.max_epochs)


def _views(cfg: Config) -> float:
    """Count the views of an image that a training sends on."""
    ssdp = hook_settings(cfg, 'SSDPHook')
    views = 1
    if ssdp and ssdp.get('enabled', True):
        views += ssdp.get('scale', 1)**2
    crops = {
        _crops(source.get('pipeline') or [])
        for source in source_settings(cfg.train_dataloader.dataset)
    }
    if len(crops) > 1:
        raise ValueError(
            'The datasets of the train_dataloader make different numbers of '
            f'views of an image ({first_names(sorted(map(str, crops)), 5)}), '
            'so the images sent through the backbone cannot be counted. Give '
            'them the same `MultiView`.')
    return views * crops.pop()


def _crops(pipeline: Sequence[dict]) -> int:
    total = 1
    for step in pipeline:
        if type_name(step['type']) == 'MultiView':
            num = step['num_views']
            total *= num if isinstance(num, int) else sum(num)
    return total


def split_images(labels: Sequence[int],
                 split: int,
                 num: int,
                 shots: Optional[int] = None,
                 seed: int = 0) -> Tuple[List[int], List[int]]:
    """Divide training images into those to train on and those held out.

    Args:
        labels (Sequence[int]): The label of each image.
        split (int): Which of the splits, from 0 to ``num - 1``.
        num (int): How many splits there are.
        shots (int, optional): Train on this many images of each class, drawn
            anew for each split, and hold the others out. Defaults to None:
            ``num`` folds of equal size, each class spread over them; a split
            holds one out.
        seed (int): Of the draw. Defaults to 0.

    Returns:
        tuple[list[int], list[int]]: Indices, ascending.

    Raises:
        ValueError: If a class has too few images.
    """
    classes = defaultdict(list)
    for index, label in enumerate(labels):
        classes[int(label)].append(index)
    least = min(map(len, classes.values()))
    fits = 2 <= num <= least if shots is None else 1 <= shots < least
    if not fits:
        wanted = f'shots={shots}' if shots is not None else f'num={num} folds'
        raise ValueError(
            f'splits: {wanted} leave no image of a class to hold out or to '
            f'train on; the smallest class has {least} images.')
    held_out = []
    dealt = 0
    for label, indices in classes.items():
        draw = random.Random(
            f'{seed}-{label}-{"folds" if shots is None else split}')
        draw.shuffle(indices)
        held_out += (
            indices[(split - dealt) % num::num]
            if shots is None else indices[shots:])
        # The next class goes on with the fold after the last one dealt to.
        dealt += len(indices)
    out = set(held_out)
    return [i for i in range(len(labels)) if i not in out], sorted(out)
