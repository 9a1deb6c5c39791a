"""What DDL's queue of a checkpoint holds."""
import os
from typing import List, NamedTuple, Optional, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.checkpoints.pretrained import read_names
from csd_mmpretrain.methods.csdnet.ddl_queue_loss import DDLQueueLoss

BLOCK = 512


class QueueContents(NamedTuple):
    """The filled places of a queue, in the order of their classes.

    Attributes:
        features (Tensor): (n, C), float32, unit vectors; within a class the
            oldest first.
        labels (Tensor): (n, ), int64, rising.
        length (int): Places of the queue, filled or empty.
        margin (float): The cosine that pushes negatives apart.
        classes (list[str], optional): Names of all classes.
    """

    features: torch.Tensor
    labels: torch.Tensor
    length: int
    margin: float
    classes: Optional[Sequence[str]]


class CosineHistogram(NamedTuple):
    """How often each cosine occurs between two keys of a queue.

    Attributes:
        edges (ndarray): (bins + 1, ), of [-1, 1].
        positives (ndarray): (bins, ), pairs of one class.
        negatives (ndarray): (bins, ), pairs of two classes.
        violating (int): Negatives above the margin.
    """

    edges: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray
    violating: int


def read_queue(cfg: Config, checkpoint: str) -> QueueContents:
    """Read the queue of a checkpoint.

    Args:
        cfg (Config): The config that it was trained with.
        checkpoint (str): A .pth file.

    Returns:
        QueueContents: Its filled places.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the model has no ``DDLQueueLoss``, the checkpoint no
            queue, or the queue nothing in it.
    """
    if not os.path.isfile(checkpoint):
        raise FileNotFoundError(
            f'There is no checkpoint {checkpoint!r}. Train one with '
            'tools/train.py; it lies in the work directory.')
    losses = {name: module
              for name, module in build_bare_model(cfg).named_modules()
              if isinstance(module, DDLQueueLoss)}
    if not losses:
        raise ValueError(
            "The config's model has no DDLQueueLoss, so no queue. Give one "
            "whose head has ddl=dict(type='DDLQueueLoss', ...), such as "
            'configs/csdnet/grocery81.py.')
    name, loss = next(iter(losses.items()))
    read_names(checkpoint)
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    state = content.get('state_dict', content)
    parts = {part: state.get(f'{name}.queue.{part}')
             for part in ('features', 'labels', 'ptr')}
    absent = [part for part, value in parts.items() if value is None]
    if absent:
        raise ValueError(
            f'{checkpoint} has no {name}.queue.{absent[0]}: it was trained '
            'without DDL, or holds the weights of a backbone alone. Give a '
            'checkpoint that tools/train.py has saved with this config.')
    classes = (content.get('meta') or {}).get('dataset_meta') or {}
    return _sort(parts['features'].float(), parts['labels'],
                 int(parts['ptr']), loss.margin, classes.get('classes'),
                 checkpoint)


def _sort(features: torch.Tensor, labels: torch.Tensor, ptr: int,
          margin: float, classes: Optional[Sequence[str]],
          checkpoint: str) -> QueueContents:
    length = len(labels)
    oldest_first = (torch.arange(length) + ptr) % length
    oldest_first = oldest_first[labels[oldest_first] >= 0]
    if len(oldest_first) < 2:
        raise ValueError(
            f'The queue of {checkpoint} has {len(oldest_first)} of {length} '
            'places filled, and two features are compared. Give a checkpoint '
            'from after the first steps of a training.')
    order = oldest_first[labels[oldest_first].argsort(stable=True)]
    return QueueContents(features[order], labels[order], length, margin,
                         classes)


def cosine_histogram(queue: QueueContents, bins: int = 100) -> CosineHistogram:
    """Count the cosines between all pairs of keys, each pair once.

    Nothing of the size of the pairs is kept.

    Args:
        queue (QueueContents): The keys.
        bins (int): Of [-1, 1]. Defaults to 100.

    Returns:
        CosineHistogram: The counts.
    """
    edges = np.linspace(-1, 1, bins + 1)
    counts = {True: np.zeros(bins, int), False: np.zeros(bins, int)}
    violating = 0
    for start in range(0, len(queue.labels), BLOCK):
        rows = slice(start, start + BLOCK)
        cosines = (queue.features[rows] @ queue.features[start:].t()).clamp(
            -1, 1)
        later = torch.ones_like(cosines, dtype=torch.bool).triu(1)
        same = queue.labels[rows, None] == queue.labels[None, start:]
        for positive, count in counts.items():
            chosen = cosines[later & (same == positive)]
            count += np.histogram(chosen.numpy(), edges)[0]
            if not positive:
                violating += int((chosen > queue.margin).sum())
    return CosineHistogram(edges, counts[True], counts[False], violating)


class ClassPair(NamedTuple):
    """Two classes whose keys lie near each other.

    Attributes:
        first (int): A class.
        second (int): A class with a higher number.
        cosine (float): The mean over their pairs of keys.
    """

    first: int
    second: int
    cosine: float


def nearest_classes(queue: QueueContents, num: int = 10) -> List[ClassPair]:
    """Find the pairs of classes with the highest mean cosine.

    Args:
        queue (QueueContents): The keys.
        num (int): At most so many pairs. Defaults to 10.

    Returns:
        list[ClassPair]: The nearest first.
    """
    found, index, counts = queue.labels.unique(
        return_inverse=True, return_counts=True)
    means = torch.zeros(len(found), queue.features.size(1)).index_add_(
        0, index, queue.features) / counts[:, None]
    cosines = means @ means.t()
    first, second = torch.triu_indices(*cosines.shape, offset=1)
    cosines = cosines[first, second]
    best = cosines.topk(min(num, len(cosines)))
    return [ClassPair(int(found[first[i]]), int(found[second[i]]), cosine)
            for i, cosine in zip(best.indices.tolist(), best.values.tolist())]
