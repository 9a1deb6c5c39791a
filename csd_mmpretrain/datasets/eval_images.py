"""Images of files or a dataset, through the pipeline of a config's test."""
import os
from copy import deepcopy
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

from .data_root import check_dataset_folders
from .dataset_settings import (
    build_without_pipeline,
    has_views,
    shared_pipeline,
)
from .image_files import EXTENSIONS, find_broken_images
from .samples import is_image, list_infos


def file_items(cfg: Config, places: Sequence[str], num: int) -> List[dict]:
    """Load image files with a config's test pipeline.

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
    paths = find_images(places, num)
    return load_items([dict(img_path=path) for path in paths],
                      eval_pipeline(cfg))


def find_images(places: Sequence[str], num: int) -> List[str]:
    """List image files, and those in folders.

    Args:
        places (Sequence[str]): Image files, and folders to search, but for
            hidden files.
        num (int): At most so many, evenly spread over what is found.

    Returns:
        list[str]: Their paths.

    Raises:
        FileNotFoundError: If a folder holds no image.
    """
    paths = []
    for place in places:
        found = [place] if not os.path.isdir(place) else sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(place, followlinks=True)
            for name in names
            if Path(name).suffix.lower() in EXTENSIONS and name[0] != '.')
        if not found:
            raise FileNotFoundError(
                f'There is no image in the folder {place!r}. Files ending in '
                f'{", ".join(sorted(EXTENSIONS))} are looked for, in its '
                'subfolders too.')
        paths += found
    if num < len(paths):
        print(f'Taking {num} of {len(paths)} images, evenly spread. '
              f'`--num {len(paths)}` takes all.')
    return [paths[i] for i in spread(len(paths), num)]


def dataset_items(
        cfg: Config, split: str,
        num: int) -> Tuple[List[dict], Optional[Sequence[str]]]:
    """Load images of a config's dataset with its test pipeline.

    Args:
        cfg (Config): The whole config.
        split (str): ``'train'``, ``'val'`` or ``'test'``.
        num (int): At most so many, evenly spread over the split.

    Returns:
        tuple[list[dict], Sequence[str] | None]: What the pipeline returns for
        each image, and the names of the classes.

    Raises:
        ValueError: If there is no such data, or an image cannot be read.
    """
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise ValueError(f'The config has no {split}_dataloader to take '
                         'images from. Choose another split, or add it.')
    dataset = build_without_pipeline(loader.dataset)
    infos = list_infos(dataset)
    infos = [infos[i] for i in spread(len(infos), num)]
    items = load_items(infos, eval_pipeline(cfg))
    return items, dataset.metainfo.get('classes')


def file_or_training_items(cfg: Config, places: Sequence[str],
                           num: int) -> List[dict]:
    """Load image files, or training images where none are named.

    Args:
        cfg (Config): The whole config.
        places (Sequence[str]): Image files, and folders to search.
        num (int): At most so many, evenly spread.

    Returns:
        list[dict]: What the test pipeline returns for each image.

    Raises:
        FileNotFoundError, ValueError: As :func:`file_items` and
            :func:`dataset_items`, or if the data's folder is missing.
    """
    if places:
        return file_items(cfg, places, num)
    check_dataset_folders(cfg, ('train_dataloader', ))
    return dataset_items(cfg, 'train', num)[0]


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
    return load_items(
        [dataset.get_data_info(i) for i in spread(len(dataset), num)],
        pipeline)


def file_name(item: dict) -> str:
    """The name of an image's file, or '' where it has none.

    Args:
        item (dict): What a pipeline returns for it.
    """
    return os.path.basename(item['data_samples'].get('img_path') or '')


def eval_pipeline(*cfgs: Config) -> Compose:
    """Build the pipeline that a config tests with.

    Args:
        *cfgs (Config): Whole configs, see :func:`eval_steps`.

    Returns:
        Compose: The pipeline.

    Raises:
        ValueError: If there is none, or a loader's datasets have different
            ones.
    """
    steps = eval_steps(*cfgs)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return Compose(deepcopy(steps))


def eval_steps(*cfgs: Config) -> List[dict]:
    """Find the steps of the pipeline that a config tests with.

    Args:
        *cfgs (Config): Whole configs; the first that has a pipeline counts.

    Returns:
        list[dict]: Those of ``test_dataloader``, else of ``val_dataloader``,
        else ``test_pipeline`` (of a pre-training). Test-time augmentation,
        which makes several views of an image, is passed over.

    Raises:
        ValueError: If there is none, or a loader's datasets have different
            ones.
    """
    for cfg in cfgs:
        known = (shared_pipeline(cfg[name].get('dataset') or {})
                 for name in ('test_dataloader', 'val_dataloader')
                 if cfg.get(name))
        steps = next((steps for steps in known
                      if steps is not None and not has_views(steps)),
                     cfg.get('test_pipeline'))
        if steps is not None:
            return steps
    raise ValueError('The config has no test_dataloader and no '
                     'val_dataloader whose dataset has a `pipeline`, with '
                     'which images are loaded (TestTimeAug makes several of '
                     'one), and no `test_pipeline`. Add one.')


def eval_loader(infos: List[dict], pipeline: Compose,
                settings: dict) -> DataLoader:
    """Load images in order, as a test does.

    Args:
        infos (list[dict]): What ``get_data_info`` tells of each image.
        pipeline (Compose): What loads and transforms an image.
        settings (dict): A data loader's, of which ``batch_size`` (default 32)
            and ``num_workers`` (default 0) are taken.

    Returns:
        DataLoader: Over the images.

    Raises:
        FileNotFoundError, ValueError: If an image is missing or broken.
    """
    _check_images(infos, pipeline)
    return Runner.build_dataloader(
        dict(
            batch_size=settings.get('batch_size', 32),
            num_workers=settings.get('num_workers', 0),
            dataset=_EvalImages(infos, pipeline),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate')))


class _EvalImages(Dataset):

    def __init__(self, infos: List[dict], pipeline: Compose) -> None:
        self.infos = infos
        self.pipeline = pipeline

    def __len__(self) -> int:
        return len(self.infos)

    def __getitem__(self, index: int) -> dict:
        return self.pipeline(deepcopy(self.infos[index]))


def spread(total: int, num: int) -> List[int]:
    """Choose at most ``num`` of ``total`` indices: middles of equal parts.

    Example:
        >>> spread(10, 2)
        [2, 7]
    """
    num = min(total, num)
    return [int(i) for i in (np.arange(num) + 0.5) * total / num]


def load_items(infos: Sequence[dict], pipeline: Compose) -> List[dict]:
    """Load images with a pipeline.

    Args:
        infos (Sequence[dict]): What ``get_data_info`` tells of each image.
        pipeline (Compose): What loads and transforms an image.

    Returns:
        list[dict]: What the pipeline returns for each image.

    Raises:
        FileNotFoundError, ValueError: If an image is missing or broken.
    """
    _check_images(infos, pipeline, decode=True)
    return list(map(pipeline, infos))


def _check_images(infos: Sequence[dict], pipeline: Compose,
                  decode: bool = False) -> None:
    paths = [str(info['img_path']) for info in infos if info.get('img_path')]
    others = {path for path in paths if not is_image(path, pipeline)}
    for path, fault in find_broken_images(paths, decode, others=others):
        missing = fault.startswith('missing')
        raise (FileNotFoundError if missing else ValueError)(
            f'{path!r} as an image: {fault}. Give the path of an image file '
            'that opens, or put a whole one there.')
