"""A config's model with the weights of a file."""
from typing import NamedTuple, Optional, Sequence

from mmengine.config import Config
from mmengine.model import BaseModel
from mmpretrain.models import BaseClassifier

from csd_mmpretrain.layers.feature_queue import QUEUE_KEY
from csd_mmpretrain.utils.finite import broken_weights
from csd_mmpretrain.utils.protocol import training_only_keys
from csd_mmpretrain.utils.wording import first_names

from .bare_model import build_bare_model
from .pretrained import fetch_weights, pretrained_parts, read_checkpoint

# What a backbone's own file leaves out of the model's names.
PREFIXES = ('', 'backbone.', 'backbone.timm_model.')
SHOWN = 3


class LoadedModel(NamedTuple):
    """A model with the weights of a checkpoint.

    Attributes:
        model (BaseModel): In evaluation mode.
        classes (list[str], optional): Their names, if the checkpoint tells.
        has_classifier (bool): Whether the head was loaded, too, so that
            predictions mean something.
    """

    model: BaseModel
    classes: Optional[Sequence[str]]
    has_classifier: bool


def load_model(cfg: Config,
               checkpoint: str,
               device: str = 'cpu',
               stage: Optional[str] = None) -> LoadedModel:
    """Build a config's model and load a checkpoint.

    The checkpoint may also be that of a backbone, or of a classifier for
    other classes, without predictions.

    Args:
        cfg (Config): The whole config.
        checkpoint (str): A .pth file.
        device (str): Of the model. Defaults to ``'cpu'``.
        stage (str, optional): Of the features that are wanted;
            ``'backbone'`` needs no weights of the neck. Defaults to None.

    Returns:
        LoadedModel: The model and what is known of its classes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, not one of this model, or not
            finite.
    """
    content = read_checkpoint(checkpoint)
    model = build_bare_model(cfg)
    state = {name.removeprefix('module.'): value
             for name, value in content.get('state_dict', content).items()}
    names = model.state_dict()
    prefix = next((prefix for prefix in PREFIXES
                   if any(prefix + name in names for name in state)), '')
    # The queue's length may have changed since the training.
    unused = training_only_keys(model)
    state = {prefix + name: value for name, value in state.items()
             if not QUEUE_KEY.search(name)
             and not (prefix + name).startswith(unused)}
    try:
        missing = model.load_state_dict(state, strict=False).missing_keys
    except RuntimeError:  # a head for other classes
        state = {k: v for k, v in state.items() if not k.startswith('head.')}
        try:
            missing = model.load_state_dict(state, strict=False).missing_keys
        except RuntimeError as error:
            first = str(error).splitlines()[1].strip()
            raise ValueError(
                f"{checkpoint} does not fit the config's model: {first} Give "
                'the checkpoint that belongs to this config.') from None
    needed = dict(backbone='Give the checkpoint that belongs to this config.')
    if isinstance(model, BaseClassifier) and stage != 'backbone':
        needed['neck'] = ('Give a checkpoint of the whole model, or choose '
                          'the features of the backbone where the tool has a '
                          'stage.')
    for part, remedy in needed.items():
        lost = [name for name in missing if name.startswith(f'{part}.')]
        if lost:
            raise ValueError(
                f'{checkpoint} lacks weights of the {part} '
                f'{type(getattr(model, part)).__name__}, such as {lost[0]!r}, '
                f'which would stay random. {remedy}')
    bad = broken_weights(model)
    if bad:
        raise ValueError(
            f'{checkpoint}: {len(bad)} of its weights are not finite: '
            f'{first_names(bad, SHOWN)}. What it says of an image means '
            'nothing. Give another checkpoint.')
    has_classifier = not any(
        name.startswith('head.') and not name.startswith(unused)
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
        device (str): Of the model. Defaults to ``'cpu'``.

    Returns:
        BaseModel: In evaluation mode; its head is not trained.

    Raises:
        FileNotFoundError: If the weights are missing or do not download.
        ValueError: If the config names none, or they are not for this model.
    """
    model = build_bare_model(cfg, keep_pretrained=True)
    parts = list(pretrained_parts(model))
    if not parts and not cfg.model.backbone.get('pretrained'):
        raise ValueError('The config names no pretrained weights, and random '
                         'weights show nothing. Give `--checkpoint FILE`.')
    for name, module, init_cfg in parts:
        fetch_weights(name, module, init_cfg)
    model.init_weights()
    return model.to(device).eval()
