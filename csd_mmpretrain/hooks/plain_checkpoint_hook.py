"""Checkpoints of plain types, which every torch loads as they are."""
import warnings
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

# The key that marks a dictionary as the plain form of another type.
PLAIN_FORM_OF = '_plain_form_of_'
BASES = (int, float, complex, str, bytes)
KEPT = (type(None), bool, *BASES, torch.Size, torch.dtype, torch.device)


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Save checkpoints as plain types and turn them back for a resume.

    mmengine keeps its logged scalars (``checkpoint['message_hub']``) as
    objects of its own, and torch >= 2.6 refuses to load a file with foreign
    objects. With this hook the file holds tensors, numbers, texts and
    containers only. So testing, resuming, publishing and inference work on
    any torch, with nothing to set. Numpy arrays and mmengine's
    ``HistoryBuffer`` become dicts, which a resume turns back. An object of
    another type becomes its text, with a warning. Such a file loads without
    the hook as well; only the logged scalars are then left out. Files that
    were written without the hook still load where torch allows it.

    Example:
        >>> default_hooks = dict(
        ...     plain_checkpoint=dict(type='PlainCheckpointHook'))
    """

    # After hooks that add to the checkpoint, such as EMAHook.
    priority = 'LOWEST'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        for key, value in checkpoint.items():
            checkpoint[key] = _to_plain(value, key)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        for key, value in checkpoint.items():
            checkpoint[key] = _from_plain(value)


def _to_plain(value: Any, name: str = 'checkpoint') -> Any:
    """Turn a value into types that ``torch.load(weights_only=True)`` takes."""
    if type(value) in KEPT or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, np.ndarray):
        try:
            data = torch.from_numpy(value.copy())
        except (TypeError, ValueError):  # a dtype that torch lacks
            data = _to_plain(value.tolist(), name)
        return {PLAIN_FORM_OF: 'ndarray', 'dtype': value.dtype.str,
                'data': data}
    if isinstance(value, np.generic):
        return _to_plain(value.item(), name)
    if isinstance(value, HistoryBuffer):
        log, count = value.data
        return {
            PLAIN_FORM_OF: 'HistoryBuffer',
            'log': _to_plain(log, name),
            'count': _to_plain(count, name),
            'max_length': value.max_length
        }
    if isinstance(value, dict):
        plain = OrderedDict() if isinstance(value, OrderedDict) else {}
        for key, item in value.items():
            plain[_to_plain(key, name)] = _to_plain(item, f'{name}.{key}')
        # A module's state dict carries its version as an attribute.
        if isinstance(value, OrderedDict):
            plain.__dict__.update(value.__dict__)
        return plain
    for kind in (list, tuple, set):
        if isinstance(value, kind):
            return kind(_to_plain(item, name) for item in value)
    for base in BASES:
        if isinstance(value, base):
            return base(value)
    warnings.warn(
        f'{name} is a {type(value).__name__}, which a checkpoint that loads '
        'everywhere cannot hold; its text is saved instead.',
        stacklevel=2)
    return str(value)


def _from_plain(value: Any) -> Any:
    """Turn back what :func:`_to_plain` made of arrays and histories."""
    if isinstance(value, dict):
        value.update({key: _from_plain(item) for key, item in value.items()})
        form = value.get(PLAIN_FORM_OF)
        if form == 'ndarray':
            data = value['data']
            if isinstance(data, torch.Tensor):
                data = data.cpu().numpy()
            return np.array(data, dtype=value['dtype'])
        if form == 'HistoryBuffer':
            return HistoryBuffer(value['log'], value['count'],
                                 value['max_length'])
        return value
    if type(value) in (list, tuple):
        return type(value)(_from_plain(item) for item in value)
    return value
