"""Checkpoints of plain types, which every torch loads as it is."""
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
KEPT = (type(None), bool, int, float, complex, str, bytes, torch.Tensor,
        torch.Size, torch.dtype, torch.device)
BASES = (int, float, complex, str, bytes)


def to_plain(value: Any, name: str = 'checkpoint') -> Any:
    """Turn a value into types that ``torch.load(weights_only=True)`` takes.

    Args:
        value (Any): The value, nested in any way. It is not changed.
        name (str): Where it stands, for the warning below. Defaults to
            'checkpoint'.

    Returns:
        Any: Tensors and numbers as they are; dicts, lists, tuples and sets of
        plain values; numpy scalars as numbers; arrays and mmengine's
        ``HistoryBuffer`` as dicts that :func:`from_plain` turns back. An
        object of another type becomes its text, with a warning.

    Example:
        >>> import numpy as np
        >>> to_plain({'seed': np.int64(3)})
        {'seed': 3}
    """
    if type(value) in KEPT or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, np.ndarray):
        return _plain_array(value, name)
    if isinstance(value, np.generic):
        return to_plain(value.item(), name)
    if isinstance(value, HistoryBuffer):
        log, count = value.data
        return {
            PLAIN_FORM_OF: 'HistoryBuffer',
            'log': to_plain(log, name),
            'count': to_plain(count, name),
            'max_length': value.max_length
        }
    if isinstance(value, dict):
        plain = OrderedDict() if isinstance(value, OrderedDict) else {}
        for key, item in value.items():
            plain[to_plain(key, name)] = to_plain(item, f'{name}.{key}')
        # A module's state dict carries its version as an attribute.
        if isinstance(value, OrderedDict):
            plain.__dict__.update(value.__dict__)
        return plain
    for kind in (list, tuple, set):
        if isinstance(value, kind):
            return kind(to_plain(item, name) for item in value)
    for base in BASES:
        if isinstance(value, base):
            return base(value)
    warnings.warn(
        f'{name} is a {type(value).__name__}, which a checkpoint that loads '
        'everywhere cannot hold; its text is saved instead.',
        stacklevel=2)
    return str(value)


def from_plain(value: Any) -> Any:
    """Turn back what :func:`to_plain` made of arrays and histories.

    Args:
        value (Any): A value read from a checkpoint, nested in any way.

    Returns:
        Any: The value with its arrays and ``HistoryBuffer`` objects again.

    Example:
        >>> import numpy as np
        >>> from_plain(to_plain(np.arange(3)))
        array([0, 1, 2])
    """
    if isinstance(value, dict):
        form = value.get(PLAIN_FORM_OF)
        if form == 'ndarray':
            return _array(value)
        if form == 'HistoryBuffer':
            return HistoryBuffer(
                _array(value['log']), _array(value['count']),
                value['max_length'])
        for key, item in value.items():
            value[key] = from_plain(item)
        return value
    if type(value) in (list, tuple):
        return type(value)(from_plain(item) for item in value)
    return value


def _plain_array(array: np.ndarray, name: str) -> dict:
    try:
        data = torch.from_numpy(array.copy())
    except (TypeError, ValueError):  # a dtype that torch lacks
        data = to_plain(array.tolist(), name)
    return {PLAIN_FORM_OF: 'ndarray', 'dtype': array.dtype.str, 'data': data}


def _array(plain: dict) -> np.ndarray:
    data = plain['data']
    if isinstance(data, torch.Tensor):
        data = data.cpu().numpy()
    return np.array(data, dtype=plain['dtype'])


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Save checkpoints as plain types and turn them back for a resume.

    mmengine keeps its logged scalars (``checkpoint['message_hub']``) as
    objects of its own, and torch >= 2.6 refuses to load a file with foreign
    objects. With this hook the file holds tensors, numbers, texts and
    containers only, so that testing, resuming, publishing and inference work
    on any torch, with nothing to set. On a resume the logged scalars come
    back as they were. Such a file loads without the hook as well; only the
    logged scalars are then left out. Files that were written without the hook
    still load where torch allows it.

    Source: choice.

    Example:
        ::

            default_hooks = dict(
                plain_checkpoint=dict(type='PlainCheckpointHook'))
    """

    # After hooks that add to the checkpoint, such as EMAHook.
    priority = 'LOWEST'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Make the checkpoint plain, in place.

        Args:
            runner (Runner): The runner that saves.
            checkpoint (dict): All that will be written.
        """
        for key, value in checkpoint.items():
            checkpoint[key] = to_plain(value, key)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Turn a plain checkpoint back, in place.

        Args:
            runner (Runner): The runner that loads.
            checkpoint (dict): All that was read.
        """
        for key, value in checkpoint.items():
            checkpoint[key] = from_plain(value)
