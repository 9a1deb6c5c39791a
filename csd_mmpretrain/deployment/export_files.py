"""Writing a classifier to a file, and reading it as its users do."""
import json
import os
import warnings
from contextlib import contextmanager
from inspect import signature
from typing import Callable, Iterator, Optional

import numpy as np
import torch

from .deployed_classifier import DeployedClassifier, free_batch_size

FORMATS = dict(
    onnx=('.onnx', ), torchscript=('.pt', '.pth', '.ts'),
    torch_export=('.pt2', ))
OPSET = 17
INPUT, OUTPUT = 'images', 'output'
Run = Callable[[torch.Tensor], torch.Tensor]


def check_format(kind: str, path: str) -> None:
    """Check that a format is known, fits the file's name and can be written.

    Args:
        kind (str): ``'onnx'``, ``'torchscript'`` or ``'torch_export'``.
        path (str): The file to write.

    Raises:
        ValueError: If the format is unknown or the file's name does not fit.
        ImportError: If a package that it needs is missing.
    """
    if kind not in FORMATS:
        raise ValueError(f'Unknown format {kind!r}; choose one of '
                         f'{", ".join(FORMATS)}.')
    if not path.lower().endswith(FORMATS[kind]):
        raise ValueError(
            f'--out {path}: the name of a file in the format {kind} ends in '
            f'{" or ".join(FORMATS[kind])}. Rename it, or choose another '
            'format with `--format`.')
    if kind == 'onnx':
        try:
            import onnx  # noqa: F401
            import onnxruntime  # noqa: F401
        except ImportError as error:
            raise ImportError(
                f'--format onnx needs {error.name}. Install the extra '
                '`deploy`, pip install "csd_mmpretrain[deploy]".') from error
    if (kind == 'torch_export'
            and 'dynamic_shapes' not in signature(
                torch.export.export).parameters):
        raise ImportError(
            f'--format torch_export needs torch 2.2 or newer, but it is '
            f'{torch.__version__}. Choose `--format onnx` or `torchscript`.')


def export_classifier(model: DeployedClassifier,
                      example: torch.Tensor,
                      path: str,
                      kind: str = 'onnx',
                      info: Optional[dict] = None,
                      batch_size: Optional[int] = None) -> None:
    """Write a classifier to a file.

    An ONNX file carries ``info`` in its metadata; beside a file of another
    format it is written as JSON, under the same name with ``.json``.

    Args:
        model (DeployedClassifier): On the CPU.
        example (Tensor): At least one image, (B, 3, H, W), of the dtype that
            the file is to take. H and W are fixed by it.
        path (str): The file.
        kind (str): ``'onnx'``, ``'torchscript'`` or ``'torch_export'``.
            Defaults to ``'onnx'``.
        info (dict, optional): Metadata, see :func:`export_info`. Defaults to
            None.
        batch_size (int, optional): The only batch size that the file is to
            take. Defaults to None, any.

    Raises:
        ValueError: If the model cannot be written for any batch size.

    Source: of torch's two ONNX exporters the one by tracing (choice). It is
    in every torch from 2.1 on, needs no onnxscript, writes opset 17, which
    older runtimes read too, and is several times as fast as the one by
    ``torch.export``, which came with torch 2.5 and, where it fails, traces
    as well.
    """
    check_format(kind, path)
    if batch_size is None:
        free_batch_size(model)
    # Of a batch of 1 a tracer may leave out the batch altogether.
    size = batch_size or 2
    example = example.repeat(-(-size // len(example)), 1, 1, 1)[:size]
    write = dict(onnx=_write_onnx, torchscript=_write_torchscript,
                 torch_export=_write_torch_export)[kind]
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with torch.no_grad(), _quiet():
        try:
            write(model, example, path, batch_size is None)
        except Exception as error:
            reason = str(error).strip().splitlines() or ['']
            raise ValueError(
                f'The {type(model.backbone).__name__} could not be written '
                f'in the format {kind} ({type(error).__name__}: '
                f'{reason[0][:200]}). Try another `--format`, or '
                '`--batch-size 1` if it is the free batch size that fails.'
            ) from error
    if info is not None:
        _write_info(info, path, kind)


def load_export(path: str, kind: str = 'onnx') -> Run:
    """Load what :func:`export_classifier` wrote, on the CPU.

    Args:
        path (str): The file.
        kind (str): Its format. Defaults to ``'onnx'``.

    Returns:
        Callable: From a batch of images to logits or scores.
    """
    if kind == 'torchscript':
        return torch.jit.load(path)
    if kind == 'torch_export':
        return torch.export.load(path).module()
    import onnxruntime
    onnxruntime.disable_telemetry_events()
    session = onnxruntime.InferenceSession(
        path, providers=['CPUExecutionProvider'])
    return lambda images: torch.from_numpy(
        np.asarray(session.run(None, {INPUT: images.numpy()})[0]))


def _write_onnx(model: DeployedClassifier, example: torch.Tensor, path: str,
                free: bool) -> None:
    export = torch.onnx.export
    chosen = {}
    if 'dynamo' in signature(export).parameters:
        chosen = dict(dynamo=False)
    axes = {INPUT: {0: 'batch'}, OUTPUT: {0: 'batch'}} if free else None
    export(model, (example, ), path, input_names=[INPUT],
           output_names=[OUTPUT], dynamic_axes=axes, opset_version=OPSET,
           **chosen)


def _write_torchscript(model: DeployedClassifier, example: torch.Tensor,
                       path: str, free: bool) -> None:
    # What is frozen holds the weights that are used, and nothing else.
    traced = torch.jit.trace(model, (example, ), check_trace=False)
    torch.jit.freeze(traced).save(path)


def _write_torch_export(model: DeployedClassifier, example: torch.Tensor,
                        path: str, free: bool) -> None:
    shapes = ({0: torch.export.Dim('batch')}, ) if free else None
    program = torch.export.export(model, (example, ), dynamic_shapes=shapes)
    torch.export.save(program, path)


def _write_info(info: dict, path: str, kind: str) -> None:
    if kind != 'onnx':
        with open(os.path.splitext(path)[0] + '.json', 'w',
                  encoding='utf-8') as file:
            json.dump(info, file, indent=1, ensure_ascii=False)
        return
    import onnx
    model = onnx.load(path)
    onnx.helper.set_model_props(
        model, {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in info.items()
        })
    onnx.save(model, path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide that tracing is deprecated and that shapes become constants."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield
