"""A config's model with the weights of a file."""
import os
from copy import deepcopy
from typing import List, NamedTuple, Optional, Sequence

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.models import BaseClassifier
from mmpretrain.registry import MODELS

from .bare_model import build_bare_model
from .pretrained import (
    check_match,
    fetch,
    local_path,
    plain_name,
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


def load_model(cfg: Config,
               checkpoint: str,
               device: str = 'cpu',
               stage: Optional[str] = None) -> LoadedModel:
    """Build a config's model and load a checkpoint.

    A checkpoint of a backbone, or of a classifier for other classes, serves
    too: then there are no predictions.

    Args:
        cfg (Config): The whole config.
        checkpoint (str): A .pth file.
        device (str): Where the model goes. Defaults to ``'cpu'``.
        stage (str, optional): Whose features are wanted. A classifier's neck
            that has weights is then not needed for ``'backbone'``. Defaults
            to None.

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
    # Only a training needs the queue, and its length may have changed since.
    state = {
        plain_name(name): value
        for name, value in content.get('state_dict', content).items()
    }
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
    neck = [name for name in missing if name.startswith('neck.')]
    if neck and isinstance(model, BaseClassifier) and stage != 'backbone':
        raise ValueError(
            f'{checkpoint} lacks weights of the neck '
            f'{type(model.neck).__name__}, such as {neck[0]!r}, which would '
            'stay random. Give a checkpoint of the whole model, or choose the '
            'features of the backbone where the tool has a stage.')
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
    settings.setdefault('data_preprocessor',
                        deepcopy(cfg.get('data_preprocessor')))
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
