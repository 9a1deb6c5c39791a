"""Model, second view and images of a drawing, from a config and the disk."""
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

from csd_mmpretrain.datasets.image_files import EXTENSIONS, find_broken_images
from csd_mmpretrain.engine.bare_model import build_bare_model
from csd_mmpretrain.engine.pretrained import read_names
from csd_mmpretrain.models.views import DiscrepancyMaskView


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
    state = {
        name: value
        for name, value in content.get('state_dict', content).items()
        if not name.startswith('head.ddl.')
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


def _load_checked(model: BaseModel, state: dict, checkpoint: str) -> List[str]:
    try:
        return model.load_state_dict(state, strict=False).missing_keys
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise ValueError(f"{checkpoint} does not fit the config's model: "
                         f'{first} Give the checkpoint that belongs to this '
                         'config.') from None


def second_view(cfg: Config, mode: Optional[str] = None) -> object:
    """Build the view of a config's SSDPHook.

    Args:
        cfg (Config): The whole config.
        mode (str, optional): A mode of ``DiscrepancyMaskView`` in place of
            the config's.

    Returns:
        DiscrepancyMaskView: The view; with defaults, if the config has no
        SSDPHook.

    Raises:
        ValueError: If the config's view has no mask, or ``mode`` is unknown.
    """
    hook = cfg.get('default_hooks', {}).get('ssdp') or {}
    view = dict(hook.get('view') or dict(type='DiscrepancyMaskView'))
    if mode is not None:
        if view['type'] != 'DiscrepancyMaskView':
            view = dict(type='DiscrepancyMaskView')
        view['mode'] = mode
    built = MODELS.build(view)
    if not isinstance(built, DiscrepancyMaskView):
        raise ValueError(
            f'The second view of this config is {view["type"]}, which makes '
            'no mask to draw. Choose one with `--mode keep`.')
    return built


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
    paths = [paths[i] for i in _spread(len(paths), num)]
    _check_images(paths)
    pipeline = _test_pipeline(cfg)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        pipeline = Compose(pipeline)
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
    dataset.pipeline = _test_pipeline(cfg)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(dataset)
    chosen = _spread(len(dataset), num)
    _check_images([dataset.get_data_info(i)['img_path'] for i in chosen])
    return [dataset[i] for i in chosen], dataset.CLASSES


def _test_pipeline(cfg: Config) -> List[dict]:
    return deepcopy(cfg.test_dataloader.dataset.pipeline)


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


def _spread(total: int, num: int) -> List[int]:
    """Choose ``num`` of ``total`` indices, from the middle of equal parts."""
    num = min(total, num)
    return [int(i) for i in (np.arange(num) + 0.5) * total / num]
