"""Writing a classifier to a file, and loading it as its users do."""
import json
import os
import warnings
from inspect import signature
from typing import Any, Callable, Dict, Optional, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmpretrain.models.utils.attention import ShiftWindowMSA

from csd_mmpretrain.checkpoints.bare_model import inner_model
from csd_mmpretrain.datasets.eval_images import eval_steps
from csd_mmpretrain.version import __version__

from .deployed_classifier import DeployedClassifier

FORMATS = dict(
    onnx=('.onnx', ), torchscript=('.pt', '.pth', '.ts'),
    torch_export=('.pt2', ))
OPSET = 17
INPUT, OUTPUT = 'images', 'output'


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


def export_info(cfg: Config,
                model: DeployedClassifier,
                example: torch.Tensor,
                classes: Optional[Sequence[str]] = None,
                batch_size: Optional[int] = None) -> Dict[str, Any]:
    """Collect what a user of an exported file must know.

    Args:
        cfg (Config): The whole config.
        model (DeployedClassifier): What is exported.
        example (Tensor): Images as the file takes them, (B, 3, H, W).
        classes (Sequence[str], optional): Their names. Defaults to None.
        batch_size (int, optional): The only batch size that the file takes.
            Defaults to None, any.

    Returns:
        dict: Plain values: ``classes``, ``input_shape``, ``input_dtype``,
        ``channel_order`` of the input, ``preprocessing`` (``'inside'`` or
        ``'outside'`` the file), ``mean`` and ``std`` (in the order of
        ``normalised_channel_order``), ``test_pipeline``, ``output``
        (``'logits'`` or ``'scores'``) and versions.
    """
    preprocessor = inner_model(cfg).get('data_preprocessor') or cfg.get(
        'data_preprocessor') or {}
    normalized = 'RGB' if model.to_rgb else 'BGR'
    info = dict(
        classes=None if classes is None else list(classes),
        input_shape=[batch_size or 'batch', *example.shape[1:]],
        input_dtype=str(example.dtype).replace('torch.', ''),
        channel_order='BGR' if model.preprocess else normalized,
        preprocessing='inside' if model.preprocess else 'outside',
        normalised_channel_order=normalized,
        mean=preprocessor.get('mean'),
        std=preprocessor.get('std'),
        test_pipeline=eval_steps(cfg),
        output='scores' if model.scores else 'logits',
        torch=torch.__version__,
        csd_mmpretrain=__version__)
    return json.loads(json.dumps(info, default=str))


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

    Source: torch's ONNX exporter by tracing (choice) is in every torch from
    2.1 on, needs no onnxscript, writes opset 17, which older runtimes read,
    and is several times as fast as the one by ``torch.export``.
    """
    check_format(kind, path)
    if batch_size is None:
        for module in model.modules():
            if isinstance(module, ShiftWindowMSA):
                module.window_reverse = _merge_windows
    # A tracer may leave out the dimension of a batch of 1.
    size = batch_size or 2
    example = example.repeat(-(-size // len(example)), 1, 1, 1)[:size]
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with torch.no_grad(), warnings.catch_warnings():
        # Tracing is deprecated, and shapes become constants.
        warnings.simplefilter('ignore')
        try:
            _write(model, example, path, kind, batch_size is None)
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


def load_export(path: str, kind: str = 'onnx'
                ) -> Callable[[torch.Tensor], torch.Tensor]:
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


def _write(model: DeployedClassifier, example: torch.Tensor, path: str,
           kind: str, free: bool) -> None:
    if kind == 'onnx':
        export = torch.onnx.export
        tracing = 'dynamo' in signature(export).parameters
        axes = {INPUT: {0: 'batch'}, OUTPUT: {0: 'batch'}} if free else None
        export(model, (example, ), path, input_names=[INPUT],
               output_names=[OUTPUT], dynamic_axes=axes, opset_version=OPSET,
               **dict(dynamo=False) if tracing else {})
    elif kind == 'torchscript':
        # Freezing drops all but the weights that are used.
        traced = torch.jit.trace(model, (example, ), check_trace=False)
        torch.jit.freeze(traced).save(path)
    else:
        shapes = ({0: torch.export.Dim('batch')}, ) if free else None
        torch.export.save(torch.export.export(
            model, (example, ), dynamic_shapes=shapes), path)


def _merge_windows(windows: torch.Tensor, height: int, width: int,
                   size: int) -> torch.Tensor:
    """Equal ``ShiftWindowMSA.window_reverse`` without a fixed batch size."""
    rows, columns = height // size, width // size
    grid = windows.unflatten(0, (-1, rows, columns))
    return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)


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
