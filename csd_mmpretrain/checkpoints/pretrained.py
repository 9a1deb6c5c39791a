"""Pretrained weights: which file they are, and whether it fits."""
import hashlib
import os
import re
from http.client import HTTPException
from typing import Any, Dict, Iterator, Optional, Tuple
from urllib.parse import urlparse

import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner.checkpoint import CheckpointLoader
from torch import hub, nn

from csd_mmpretrain.utils.type_name import type_name

TRUST = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
# How torch names an object that it refuses.
FOREIGN = re.compile(r'(?:GLOBAL|class) ([\w.]+)')
WEB = ('http://', 'https://')
WHOLE_MODEL = 'the model'
POINT = ('`--weights FILE` of tools/train.py, or '
         '`--cfg-options model.backbone.init_cfg.checkpoint=FILE` of any tool')
WHOLE = '`--cfg-options model.init_cfg.checkpoint=FILE`'


def pretrained_cfg(init_cfg: Any) -> Optional[dict]:
    """Find the part of an ``init_cfg`` that loads weights.

    Args:
        init_cfg (dict | list[dict] | None): Of a module.

    Returns:
        dict, optional: The one of type ``Pretrained``.
    """
    cfgs = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
    return next((cfg for cfg in cfgs
                 if cfg and 'Pretrained' in str(cfg.get('type'))), None)


def pretrained_parts(
        model: nn.Module) -> Iterator[Tuple[str, nn.Module, dict]]:
    """Find the parts of a model that load weights of their own.

    Args:
        model (nn.Module): The model.

    Yields:
        tuple: Name, module and ``Pretrained`` init_cfg of a part.
    """
    for name, module in model.named_modules():
        cfg = pretrained_cfg(getattr(module, 'init_cfg', None))
        if cfg is not None:
            yield name or WHOLE_MODEL, module, cfg


def local_path(checkpoint: str) -> Optional[str]:
    """Tell where on this machine a checkpoint is, or would be.

    Args:
        checkpoint (str): A path or a URL.

    Returns:
        str, optional: The path; of a web address that in torch hub's cache;
        None for mmengine's other schemes (``torchvision://``, ...).
    """
    if checkpoint.startswith(WEB):
        name = os.path.basename(urlparse(checkpoint).path)
        return os.path.join(hub.get_dir(), 'checkpoints', name)
    return None if '://' in checkpoint else os.path.expanduser(checkpoint)


def file_hash(path: str) -> str:
    """Hash a file as model zoos do.

    Args:
        path (str): The file.

    Returns:
        str: The first eight hexadecimal digits of its SHA-256.
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:8]


def read_names(path: str, trusted: bool = False
               ) -> Dict[str, Optional[torch.Size]]:
    """List the tensors of a checkpoint without running its code.

    Python objects in it are refused with any torch, unless the environment
    variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 trusts the files of this run.

    Args:
        path (str): The checkpoint.
        trusted (bool): Whether Python objects may be made, which runs what
            the file says. Defaults to False.

    Returns:
        dict[str, Size | None]: The shapes in its state dict, by name; None
        for what is no tensor.

    Raises:
        ValueError: If it is no checkpoint, is damaged, or holds more than
            plain types.
    """
    trusted |= os.getenv(TRUST, '0').lower() in ('1', 'y', 'yes', 'true')
    try:
        content = torch.load(
            path, map_location='meta', weights_only=not trusted)
        return {name: getattr(value, 'shape', None) for name, value in
                dict.items(content.get('state_dict', content))}
    except OSError:
        raise
    except Exception as error:
        found = FOREIGN.search(str(error))
        why = (f'it holds Python objects ({found[1]}), which can run any '
               'program when they are loaded. Nothing of it was run. Ask for '
               'a file of tensors and plain values (this project saves no '
               'others); if you trust the file, set the environment variable '
               f'{TRUST}=1.' if found else
               'it is damaged, cut short or another kind of file. Download '
               'or copy it again. '
               f'({type(error).__name__}: {str(error)[:80]})')
        raise ValueError(
            f'{path} does not load as a checkpoint: {why}') from None


def read_checkpoint(path: str) -> dict:
    """Load a checkpoint on the CPU, once :func:`read_names` has checked it.

    Args:
        path (str): A .pth file.

    Returns:
        dict: What it holds.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, see :func:`read_names`.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'There is no checkpoint {path!r}. Train one with '
            'tools/train.py; it is saved in the work directory.')
    read_names(path)
    return CheckpointLoader.load_checkpoint(path, map_location='cpu')


def fetch_weights(name: str, module: nn.Module, cfg: dict) -> None:
    """Download pretrained weights if needed, and check that they fit.

    Args:
        name (str): Of the module, for errors.
        module (nn.Module): It will load them.
        cfg (dict): Its ``Pretrained`` init_cfg.

    Raises:
        FileNotFoundError: If there is no such file, or the download fails.
        ValueError: If the file lacks more than half of the module's tensors,
            or has them in other shapes.
    """
    checkpoint = cfg['checkpoint']
    point = WHOLE if name == WHOLE_MODEL else POINT
    web = checkpoint.startswith(WEB)
    path = local_path(checkpoint)
    if path is None:
        return
    if not os.path.isfile(path):
        if not web:
            raise FileNotFoundError(
                f'There is no file of pretrained weights {checkpoint!r}. '
                f'Point at the right one with {point}.')
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            hub.download_url_to_file(checkpoint, path, progress=os.isatty(2))
        except (OSError, HTTPException) as error:
            raise FileNotFoundError(
                f'The pretrained weights {os.path.basename(path)} could not '
                f'be downloaded from {checkpoint} ({error}). Put the file at '
                f'{path}, or point at it with {point}.') from None
    taken, others = compare_weights(module, cfg)
    if len(taken) < len(others):
        shown = ', '.join(
            f'{key} {there and tuple(there)} for {tuple(here)}'
            for key, (there, here) in list(others.items())[:2])
        raise ValueError(
            f'{checkpoint} has no weights for {name} '
            f'({type(module).__name__}): with prefix='
            f'{cfg.get("prefix") or ""!r} only {len(taken)} of its '
            f'{len(taken) + len(others)} tensors are there in the right shape '
            f'({shown}, ...). Choose the file of this architecture and width, '
            'or correct `init_cfg.prefix`.')


def compare_weights(module: nn.Module, cfg: dict) -> Tuple[list, dict]:
    """Compare a file of pretrained weights with the module that loads it.

    Args:
        module (nn.Module): It will load them.
        cfg (dict): Its ``Pretrained`` init_cfg, of a file that is here.

    Returns:
        tuple: The names of the tensors that are taken over, and the shapes
        of the others by name: that in the file, None where it is missing,
        and that in the module.

    Raises:
        ValueError: If the file is no checkpoint, see :func:`read_names`.
    """
    checkpoint = cfg['checkpoint']
    prefix = (cfg.get('prefix') or '').rstrip('.')
    prefix = prefix + '.' if prefix else ''
    # Like torch hub, trust what the config fetches from the web.
    found = {
        name.removeprefix('module.'): shape
        for name, shape in read_names(
            local_path(checkpoint), checkpoint.startswith(WEB)).items()
    }
    shapes = {name: (found.get(prefix + name), value.shape)
              for name, value in module.state_dict().items()
              if not name.endswith('num_batches_tracked')}
    others = {name: both for name, both in shapes.items()
              if both[0] != both[1]}
    return [name for name in shapes if name not in others], others


def use_weights(cfg: Config, path: str) -> None:
    """Let the backbone start from a file.

    Args:
        cfg (Config): The whole config. The ``init_cfg`` of
            ``model.backbone`` is changed, or added.
        path (str): A checkpoint of a classifier (``backbone.*``) or of a
            backbone alone; for ``TIMMBackbone`` also a file of timm's own.

    Raises:
        ValueError: If it does not load, or the model has no backbone.
    """
    backbone = cfg.model.get('backbone')
    if backbone is None:
        raise ValueError('--weights: the config has no `model.backbone` to '
                         'load them into.')
    if type_name(backbone.get('type')) == 'TIMMBackbone':
        # Its own checkpoints are files of mmpretrain, unlike those of timm.
        backbone.pretrained = path.endswith('.safetensors') or not any(
            'timm_model.' in name for name in read_names(path))
        if backbone.pretrained:
            backbone.pretrained_cfg_overlay = dict(file=path)
            return
    init_cfg = backbone.get('init_cfg') or []
    others = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
    pretrained = pretrained_cfg(init_cfg) or ConfigDict(type='Pretrained')
    others = [other for other in others if other is not pretrained]
    pretrained.checkpoint = path
    prefix = pretrained.pop('prefix', None) or 'backbone.'
    if any(name.startswith(prefix) for name in read_names(path)):
        pretrained.prefix = prefix
    backbone.init_cfg = others + [pretrained] if others else pretrained
