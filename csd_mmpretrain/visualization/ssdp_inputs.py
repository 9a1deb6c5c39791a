"""Model and images of a drawing, from a config and the disk."""
import os
from copy import deepcopy
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.registry import DATASETS, MODELS
from torch.utils.data import Dataset

from csd_mmpretrain.datasets.image_files import EXTENSIONS, find_broken_images
from csd_mmpretrain.engine.bare_model import build_bare_model
from csd_mmpretrain.engine.pretrained import (
    check_match,
    fetch,
    local_path,
    pretrained_parts,
    read_names,
)


class LoadedModel(NamedTuple):
    """A model with the weights of a checkpoint.

    Attributes:
        model (BaseModel): In evaluation mode.
        classes (list[str], optional): Names of the classes, if the
            checkpoint tells.
        has_classifier (bool): Whether the checkpoint holds a classifier for
            these classes, so that predictions mean something.
    """

    model: BaseModel
    classes: Optional[Sequence[str]]
    has_classifier: bool


def load_model(cfg: Config, checkpoint: str,
               device: str = 'cpu') -> LoadedModel:
    """Build a config's model and load a checkpoint.

    A checkpoint of a backbone, or of a classifier for other classes, serves
    too: then there are no predictions.

    Args:
        cfg (Config): The whole config.
        checkpoint (str): A .pth file.
        device (str): Where the model goes. Defaults to ``'cpu'``.

    Returns:
        LoadedModel: The model and what is known of its classes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, or not one of this model.
    """
    if not os.path.isfile(checkpoint):
        raise FileNotFoundError(
            f'There is no checkpoint {checkpoint!r}. Train one with '
            'tools/train.py; it lies in the work directory.')
    read_names(checkpoint)
    model = build_bare_model(cfg)
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    # A drawing needs no queue, and its length may have changed since.
    state = content.get('state_dict', content)
    prefix = _missing_prefix(model, state)
    state = {
        prefix + name: value
        for name, value in state.items() if not name.startswith('head.ddl.')
    }
    try:
        missing = model.load_state_dict(state, strict=False).missing_keys
    except RuntimeError:
        state = {k: v for k, v in state.items() if not k.startswith('head.')}
        missing = _load_checked(model, state, checkpoint)
    if any(name.startswith('backbone.') for name in missing):
        raise ValueError(
            f'{checkpoint} lacks weights of the backbone '
            f'{type(model.backbone).__name__}, such as '
            f'{next(n for n in missing if n.startswith("backbone."))!r}. '
            'Give the checkpoint that belongs to this config.')
    losses = ('head.ddl.', 'head.ssdt.')
    has_classifier = not any(
        name.startswith('head.') and not name.startswith(losses)
        for name in missing)
    meta = content.get('meta') or {}
    classes = (meta.get('dataset_meta') or {}).get('classes')
    return LoadedModel(
        model.to(device).eval(),
        classes if has_classifier else None, has_classifier)


def load_pretrained_model(cfg: Config, device: str = 'cpu') -> BaseModel:
    """Build a config's model with the pretrained weights that it names.

    Args:
        cfg (Config): The whole config.
        device (str): Where the model goes. Defaults to ``'cpu'``.

    Returns:
        BaseModel: In evaluation mode; its head is not trained.

    Raises:
        FileNotFoundError: If the weights are missing or do not download.
        ValueError: If the config names none, or they are not for this model.
    """
    settings = deepcopy(cfg.model)
    settings.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(settings)
    parts = list(pretrained_parts(model))
    if not parts and not settings.backbone.get('pretrained'):
        raise ValueError('The config names no pretrained weights, and a '
                         'network of random weights sees nothing. Give '
                         '`--checkpoint FILE`.')
    for name, module, init_cfg in parts:
        fetch(init_cfg['checkpoint'])
        if local_path(init_cfg['checkpoint']) is not None:
            check_match(name, module, init_cfg)
    model.init_weights()
    return model.to(device).eval()


def _missing_prefix(model: BaseModel, state: dict) -> str:
    """Tell what a backbone's own file leaves out of the model's names."""
    names = model.state_dict()
    for prefix in ('', 'backbone.', 'backbone.timm_model.'):
        if any(prefix + name in names for name in state):
            return prefix
    return ''


def _load_checked(model: BaseModel, state: dict, checkpoint: str) -> List[str]:
    try:
        return model.load_state_dict(state, strict=False).missing_keys
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise ValueError(f"{checkpoint} does not fit the config's model: "
                         f'{first} Give the checkpoint that belongs to this '
                         'config.') from None


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
        split (str): ``'train'`` or ``'test'``.
        num (int): At most so many, evenly spread over the split.

    Returns:
        tuple: What the pipeline returns for each image, and the names of the
        classes, or None where the dataset has none.

    Raises:
        ValueError: If an image cannot be read.
    """
    dataset = deepcopy(cfg[f'{split}_dataloader'].dataset)
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset.dataset
    dataset.pipeline = []
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(dataset)
    return spread_items(dataset, eval_pipeline(cfg), num), dataset.CLASSES


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


def eval_pipeline(cfg: Config) -> Compose:
    """Build the pipeline that a config tests with.

    Args:
        cfg (Config): The whole config.

    Returns:
        Compose: That of ``test_dataloader``; of ``val_dataloader`` where the
        config has no test.

    Raises:
        ValueError: If the config has neither.
    """
    for name in ('test_dataloader', 'val_dataloader'):
        dataset = (cfg.get(name) or {}).get('dataset')
        while dataset and 'pipeline' not in dataset:
            dataset = dataset.get('dataset')
        if dataset:
            with DefaultScope.overwrite_default_scope('mmpretrain'):
                return Compose(deepcopy(dataset['pipeline']))
    raise ValueError('The config has no test_dataloader and no val_dataloader '
                     'whose dataset has a `pipeline`, with which images are '
                     'drawn. Add one.')


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
