"""The feature maps of all training images, computed once, in a file."""
import shutil
from pathlib import Path
from typing import Iterator, NamedTuple, Sequence, Tuple

import numpy as np
import torch
from rich.progress import track

from csd_mmpretrain.evaluation.feature_data import LabelledImages
from csd_mmpretrain.runtime.undisturbed import same_modes

from .pooled_classifier import PooledClassifier


class TrainingMaps(NamedTuple):
    """What a fit needs of N images.

    Attributes:
        maps (Tensor): Z, (N, D, h, w), float16, in a file.
        sums (Tensor): Over the positions, (N, D), float32.
        logits (Tensor): The classifier's own, (N, K), float32.
    """

    maps: torch.Tensor
    sums: torch.Tensor
    logits: torch.Tensor


def collect_maps(classifier: PooledClassifier, images: LabelledImages,
                 path: Path) -> TrainingMaps:
    """Compute the maps of images, and write them to a file.

    It prints what it needs before it starts.

    Args:
        classifier (PooledClassifier): Its model is in evaluation mode
            meanwhile.
        images (LabelledImages): What to compute, in order.
        path (Path): The file, .npy. Its folder exists.

    Returns:
        TrainingMaps: ``maps`` in the file, the rest on the CPU.

    Raises:
        ValueError: If a map is not finite in half precision, images have
            different sizes, the disk is too small, or the logits are not
            those of pooling and a linear layer.
    """
    maps, sums, logits = None, [], []
    for means, outputs, found in map_batches(classifier, images):
        if maps is None:
            shape = (len(images.paths), *found.shape[1:])
            _check_disk(shape, path)
            maps = np.lib.format.open_memmap(path, 'w+', np.float16, shape)
        start = sum(map(len, sums))
        paths = images.paths[start:start + len(found)]
        half = found.half().cpu()
        _check_maps(found, half, maps.shape, paths)
        maps[start:start + len(found)] = half.numpy()
        sums.append((means * found[0, 0].numel()).cpu())
        logits.append(outputs.cpu())
    return TrainingMaps(torch.from_numpy(maps), torch.cat(sums),
                        torch.cat(logits))


def map_batches(
    classifier: PooledClassifier, images: LabelledImages
) -> Iterator[Tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Compute means, logits and maps of images, batch by batch.

    Args:
        classifier (PooledClassifier): Its model is in evaluation mode
            meanwhile.
        images (LabelledImages): What to compute, in order.

    Yields:
        tuple[Tensor, Tensor, Tensor]: Means of the maps (B, D), float32, the
        classifier's own logits (B, K), and the maps (B, D, h, w).

    Raises:
        ValueError: As :meth:`PooledClassifier.read`.
    """
    model = classifier.model
    with same_modes(model):
        model.eval()
        for batch in track(images.loader, 'Feature maps'):
            inputs = model.data_preprocessor(
                dict(inputs=batch['inputs']))['inputs']
            maps, logits = classifier.read(inputs)
            yield maps.float().mean((2, 3)), logits.float(), maps


def _check_disk(shape: Tuple[int, ...], path: Path) -> None:
    size = 2 * int(np.prod(shape))
    free = shutil.disk_usage(path.parent).free
    print(f'{shape[0]} maps of {shape[1]} channels and {shape[2]} x '
          f'{shape[3]} positions: {size / 1e6:.0f} MB in {path}')
    if size > free:
        raise ValueError(
            f'{path} will need {size / 1e6:.0f} MB, but the disk has '
            f'{free / 1e6:.0f} MB left. Free some, or choose another folder '
            'with --out.')


def _check_maps(maps: torch.Tensor, half: torch.Tensor,
                shape: Sequence[int], paths: Sequence[str]) -> None:
    if half.shape[1:] != shape[1:]:
        raise ValueError(
            f'{paths[0]} has a feature map of {tuple(half.shape[1:])}, the '
            f'images before it have {tuple(shape[1:])}. Give a test pipeline '
            'whose images have one size, such as ResizeEdge and CenterCrop.')
    bad = ~half.flatten(1).isfinite().all(1)
    if bad.any():
        first = int(bad.nonzero()[0])
        largest = maps[first].abs().max()
        raise ValueError(
            f'The feature map of {paths[first]} is not finite in half '
            f'precision (largest value {largest:.3g}). Check the checkpoint '
            'and the photo.')
