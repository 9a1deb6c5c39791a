"""Time and memory of DDL for queues of several lengths."""
from functools import partial
from importlib.util import find_spec
from typing import Callable, Dict, List, NamedTuple, Tuple

import numpy as np
import torch

from csd_mmpretrain.layers.unit_vectors import unit_vectors
from csd_mmpretrain.utils.measure import (
    Cost,
    apart,
    peak_growth,
    take_turns,
)
from csd_mmpretrain.utils.tables import markdown_table

from .ddl_queue_loss import DDLQueueLoss

MARGIN = 0.4
CLASSES = 80
HEADER = ('queue', 'step', 'ms', 'against two products', 'memory growth (MiB)')


class DDLSetting(NamedTuple):
    """A full queue, and a batch of images in two views each."""

    queue_len: int
    batch_size: int = 64
    channels: int = 1024
    device: str = 'cpu'


def contenders() -> Dict[str, Callable]:
    """List what is compared, as functions of loss, features and labels.

    CrossBatchMemory is among them if pytorch-metric-learning is installed.
    """
    known = {
        'two products': _products,
        'DDLQueueLoss': partial(_ddl, 'all'),
        'DDLQueueLoss violating': partial(_ddl, 'violating')
    }
    if find_spec('pytorch_metric_learning'):
        known['CrossBatchMemory'] = _cross_batch_memory
    return known


@torch.no_grad()
def _products(loss: DDLQueueLoss, views: torch.Tensor,
              labels: torch.Tensor) -> None:
    """Do the two matrix products that any such loss needs, for all keys."""
    anchors = views.flatten(0, 1)
    for keys in (loss.queue.features, anchors):
        similarity = anchors @ keys.t()
        similarity @ keys


def _ddl(negatives: str, loss: DDLQueueLoss, views: torch.Tensor,
         labels: torch.Tensor) -> None:
    loss.negatives = negatives
    loss(views, labels)['loss_qc'].backward()


def _cross_batch_memory(loss: DDLQueueLoss, views: torch.Tensor,
                        labels: torch.Tensor) -> None:
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.losses import (
        ContrastiveLoss,
        CrossBatchMemory,
    )

    memory = CrossBatchMemory(
        ContrastiveLoss(
            pos_margin=1, neg_margin=MARGIN, distance=CosineSimilarity()),
        embedding_size=loss.feat_dim,
        memory_size=0)
    # The same queue, or 1M keys would be there twice.
    memory.memory_size = loss.queue.length
    memory.embedding_memory = loss.queue.features
    memory.label_memory = loss.queue.labels
    memory.has_been_filled = True
    memory(views.flatten(0, 1), labels.repeat(len(views))).backward()


def _inputs(
    setting: DDLSetting
) -> Tuple[DDLQueueLoss, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    queue_len, batch_size, channels, device = setting
    loss = DDLQueueLoss(channels, queue_len, margin=MARGIN).to(device)
    for part in loss.queue.features.split(1024):
        part.copy_(unit_vectors(torch.randn_like(part)))
    loss.queue.labels.random_(CLASSES)
    views = torch.randn(
        2, batch_size, channels, device=device, requires_grad=True)
    return loss, views, torch.randint(CLASSES, (batch_size, ), device=device)


def benchmark_ddl(setting: DDLSetting,
                  names: List[str],
                  iters: int = 10,
                  warmup: int = 2) -> Dict[str, Cost]:
    """Measure one queue length.

    Time: steps of all contenders alternate in one process, with one queue.
    Memory: growth by a step, without the queue, on a CPU in a process of its
    own.

    Args:
        setting (DDLSetting): What is measured.
        names (list[str]): Of :func:`contenders`.
        iters (int): Measured steps. Defaults to 10.
        warmup (int): Steps before them that are not counted. Defaults to 2.

    Returns:
        dict[str, Cost]: By contender.
    """
    peaks = {name: apart(setting.device, _peak_memory, setting, name)
             for name in names}
    inputs = _inputs(setting)
    steps = {name: partial(contenders()[name], *inputs) for name in names}
    seconds = take_turns(steps, iters, warmup, setting.device)
    return {name: Cost(seconds[name], peaks[name]) for name in names}


def _peak_memory(setting: DDLSetting, name: str) -> float:
    inputs = _inputs(setting)
    # Starts the threads and fills the caches of the libraries.
    small = _inputs(setting._replace(queue_len=2 * setting.batch_size))
    contenders()[name](*small)
    return peak_growth(lambda: contenders()[name](*inputs), setting.device)


def format_ddl_table(costs: Dict[int, Dict[str, Cost]]) -> str:
    """Write costs by queue length and contender as a Markdown table."""
    return markdown_table(HEADER, [
        (queue_len, name, f'{1000 * np.median(seconds):.1f}',
         f'x {np.median(seconds / known["two products"].seconds):.2f}',
         f'{peak:.0f}') for queue_len, known in costs.items()
        for name, (seconds, peak) in known.items()
    ])
