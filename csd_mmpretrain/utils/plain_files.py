"""Result files of plain values, read without running what they hold."""
import io
import json
import pickle
from pathlib import Path
from typing import Any

import torch
import yaml

# What tensors and arrays are made of in a pickle.
KNOWN = {
    ('collections', 'OrderedDict'), ('_codecs', 'encode'),  # of bytes
    ('torch', 'Size'), ('torch', 'device'),
    ('torch._utils', '_rebuild_tensor_v2'), ('numpy', 'ndarray'),
    ('numpy', 'dtype'), *((f'numpy.{core}.{name[0]}', name[1])
                          for core in ('core', '_core')
                          for name in (('multiarray', '_reconstruct'),
                                       ('multiarray', 'scalar'),
                                       ('numeric', '_frombuffer')))
}


class _PlainUnpickler(pickle.Unpickler):
    """Makes tensors, arrays and plain values, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ('torch.storage', '_load_from_bytes'):
            return _load_storage  # torch's own would load anything
        if (module, name) in KNOWN:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(
            f'it holds {module}.{name}, which can run any program when it is '
            'loaded; nothing of it was run')


def _load_storage(content: bytes) -> Any:
    try:
        return torch.load(io.BytesIO(content), weights_only=True)
    except Exception:  # torch would tell how to run it
        raise pickle.UnpicklingError(
            'it holds a tensor of other objects; nothing of it was run'
        ) from None


def load_plain(path: str) -> Any:
    """Read a result file: .json, .yaml, .yml, .pkl or .pickle.

    Args:
        path (str): The file.

    Returns:
        Any: Numbers, texts, tensors, arrays, and lists and dicts of them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is of another kind, broken, or holds other objects,
            none of which is made.

    Example:
        ::

            load_plain('metrics.json')['accuracy/top1']
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f'There is no result file {path!r}. Write one with `tools/test.py '
            f'CONFIG CHECKPOINT --out {path}`.') from None
    readers = {
        '.json': json.loads,
        '.yaml': yaml.safe_load,
        '.pkl': lambda content: _PlainUnpickler(io.BytesIO(content)).load()
    }
    readers.update({'.yml': yaml.safe_load, '.pickle': readers['.pkl']})
    kind = Path(path).suffix.lower()
    if kind not in readers:
        raise ValueError(f'{path}: the name must end in {", ".join(readers)}.')
    try:
        return readers[kind](content)
    except Exception as error:  # a broken pickle raises anything
        raise ValueError(
            f'{path} does not load: {" ".join(str(error).split())[:200]}. '
            'Write it anew, with `tools/test.py CONFIG CHECKPOINT --out '
            'FILE.json`.') from None
