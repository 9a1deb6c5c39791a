"""Images of files or a dataset, through the pipeline of a config's test."""
import os
from copy import deepcopy
from typing import List, Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from torch.utils.data import Dataset

from .dataset_settings import build_each_once, shared_pipeline
from .image_files import EXTENSIONS, find_broken_images


def file_items(cfg: Config, places: Sequence[str], num: int) -> List[dict]:
    """Load images from the disk as the config's test pipeline does.

    Args:
        cfg (Config): The whole config.
        places (Sequence[str]): Image files, and folders to search.
        num (int): At most so many, evenly spread over what is found.

    Returns:
        list[dict]: What the pipeline returns for each image.

    Raises:
        FileNotFoundError: If a place does not exist or holds no image.
        ValueError: If an image cannot be read.
    """
    paths = []
    for place in places:
        found = _images_in(place) if os.path.isdir(place) else [place]
        if not found:
            raise FileNotFoundError(
                f'There is no image in the folder {place!r}. Files ending in '
                f'{", ".join(sorted(EXTENSIONS))} are looked for, in its '
                'subfolders too.')
        paths += found
    paths = [paths[i] for i in spread(len(paths), num)]
    _check_images(paths)
    pipeline = eval_pipeline(cfg)
    return [pipeline(dict(img_path=path)) for path in paths]


def dataset_items(
        cfg: Config, split: str,
        num: int) -> Tuple[List[dict], Optional[Sequence[str]]]:
    """Load images of a config's dataset with its test pipeline.

    Args:
        cfg (Config): The whole config.
        split (str): ``'train'``, ``'val'`` or ``'test'``.
        num (int): At most so many, evenly spread over the split.

    Returns:
        tuple: What the pipeline returns for each image, and the names of the
        classes, or None where the dataset has none.

    Raises:
        ValueError: If the config has no such data, or an image cannot be
            read.
    """
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise ValueError(f'The config has no {split}_dataloader to take '
                         'images from. Choose another split, or add it.')
    dataset = build_each_once(loader.dataset)
    items = spread_items(dataset, eval_pipeline(cfg), num)
    return items, dataset.metainfo.get('classes')


def spread_items(dataset: Dataset, pipeline: Compose, num: int) -> List[dict]:
    """Load images of a dataset with another pipeline.

    Args:
        dataset (Dataset): One that has ``get_data_info``; wrapped or not.
        pipeline (Compose): What loads and transforms an image.
        num (int): At most so many, evenly spread over the dataset.

    Returns:
        list[dict]: What the pipeline returns for each image.

    Raises:
        FileNotFoundError, ValueError: If an image is missing or broken.
    """
    infos = [dataset.get_data_info(i) for i in spread(len(dataset), num)]
    _check_images([i['img_path'] for i in infos if i.get('img_path')])
    return [pipeline(info) for info in infos]


def eval_pipeline(*cfgs: Config) -> Compose:
    """Build the pipeline that a config tests with.

    Args:
        *cfgs (Config): Whole configs; the first that says how it tests is
            taken.

    Returns:
        Compose: That of ``test_dataloader``; of ``val_dataloader`` where the
        config has no test; ``test_pipeline`` where it has neither, as a
        pre-training.

    Raises:
        ValueError: If no config has one of them, or the datasets of a
            loader have different ones.
    """
    known = (_eval_steps(cfg) for cfg in cfgs)
    steps = next((steps for steps in known if steps is not None), None)
    if steps is None:
        raise ValueError('The config has no test_dataloader and no '
                         'val_dataloader whose dataset has a `pipeline`, with '
                         'which images are loaded, and no `test_pipeline`. '
                         'Add one.')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return Compose(deepcopy(steps))


def _eval_steps(cfg: Config) -> Optional[List[dict]]:
    for name in ('test_dataloader', 'val_dataloader'):
        dataset = (cfg.get(name) or {}).get('dataset')
        steps = shared_pipeline(dataset) if dataset else None
        if steps is not None:
            return steps
    return cfg.get('test_pipeline')


class EvalImages(Dataset):
    """Images of a dataset, with another pipeline.

    Args:
        infos (list[dict]): What ``get_data_info`` tells of each.
        pipeline (Compose): What loads and transforms an image.
    """

    def __init__(self, infos: List[dict], pipeline: Compose) -> None:
        self.infos = infos
        self.pipeline = pipeline

    def __len__(self) -> int:
        return len(self.infos)

    def __getitem__(self, index: int) -> dict:
        return self.pipeline(deepcopy(self.infos[index]))


def _check_images(paths: Sequence[str]) -> None:
    for path, fault in find_broken_images(paths, decode=True):
        error = FileNotFoundError if fault == 'missing' else ValueError
        raise error(f'{path!r} as an image: {fault}. Give the path of an '
                    'image file that opens, or put a whole one there.')


def _images_in(folder: str) -> List[str]:
    return sorted(
        os.path.join(where, name) for where, _, names in os.walk(folder)
        for name in names
        if os.path.splitext(name)[1].lower() in EXTENSIONS)


def spread(total: int, num: int) -> List[int]:
    """Choose evenly: the middles of equal parts.

    Args:
        total (int): How many there are.
        num (int): How many to choose at most.

    Returns:
        list[int]: Indices, rising.

    Example:
        >>> spread(10, 2)
        [2, 7]
    """
    num = min(total, num)
    return [int(i) for i in (np.arange(num) + 0.5) * total / num]
