"""Time and memory of DDL for queues of several lengths."""
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Callable, Dict, List, NamedTuple, Tuple

import torch

from csd_mmpretrain.layers.unit_vectors import unit_vectors
from csd_mmpretrain.utils.measure import (
    in_process,
    median_ratio,
    peak_growth,
    take_turns,
)

from .ddl_queue_loss import DDLQueueLoss

MARGIN = 0.4
CLASSES = 80


class DDLSetting(NamedTuple):
    """What is measured.

    Attributes:
        queue_len (int): Keys in the queue, which is full.
        batch_size (int): Images in two views each, so twice as many anchors.
        channels (int): Channels of a feature.
        device (str): ``'cpu'`` or ``'cuda'``.
    """

    queue_len: int
    batch_size: int = 64
    channels: int = 1024
    device: str = 'cpu'


class DDLCost(NamedTuple):
    """What one queue length costs, by contender.

    Attributes:
        seconds (dict[str, list[float]]): Of each measured step.
        peak_mib (dict[str, float]): Growth of the peak memory by a step,
            without the queue.
    """

    seconds: Dict[str, List[float]]
    peak_mib: Dict[str, float]


def contenders() -> Dict[str, Callable]:
    """List what is compared.

    Returns:
        dict[str, Callable]: Each takes a full DDLQueueLoss, the features and
        the labels, and does one step. Without pytorch-metric-learning, its
        CrossBatchMemory is not among them.
    """
    known = {
        'two products': _products,
        'DDLQueueLoss': _ddl,
        'DDLQueueLoss violating': _ddl_violating
    }
    if find_spec('pytorch_metric_learning'):
        known['CrossBatchMemory'] = _cross_batch_memory
    return known


def _products(loss: DDLQueueLoss, views: torch.Tensor,
              labels: torch.Tensor) -> None:
    """Do the two matrix products that any such loss needs, for all keys."""
    with torch.no_grad():
        anchors = views.flatten(0, 1)
        for keys in (loss.queue.features, anchors):
            similarity = anchors @ keys.t()
            similarity @ keys


def _ddl(loss: DDLQueueLoss, views: torch.Tensor,
         labels: torch.Tensor) -> None:
    loss.negatives = 'all'
    loss(views, labels)['loss_qc'].backward()


def _ddl_violating(loss: DDLQueueLoss, views: torch.Tensor,
                   labels: torch.Tensor) -> None:
    loss.negatives = 'violating'
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
    loss = DDLQueueLoss(setting.channels, setting.queue_len, margin=MARGIN)
    loss.to(setting.device)
    for part in loss.queue.features.split(1024):
        part.copy_(unit_vectors(torch.randn_like(part)))
    loss.queue.labels.random_(CLASSES)
    views = torch.randn(
        2,
        setting.batch_size,
        setting.channels,
        device=setting.device,
        requires_grad=True)
    labels = torch.randint(
        CLASSES, (setting.batch_size, ), device=setting.device)
    return loss, views, labels


def benchmark_ddl(setting: DDLSetting,
                  names: List[str],
                  iters: int = 10,
                  warmup: int = 2) -> DDLCost:
    """Measure one queue length.

    Time: one process, one queue, steps of all contenders in turns. Memory: a
    process of its own for each.

    Args:
        setting (DDLSetting): What is measured.
        names (list[str]): Of :func:`contenders`.
        iters (int): Measured steps. Defaults to 10.
        warmup (int): Steps before them that are not counted. Defaults to 2.

    Returns:
        DDLCost: Times and memory.

    """
    peaks = {name: in_process(peak_memory, setting, name) for name in names}
    inputs = _inputs(setting)
    steps = {name: partial(contenders()[name], *inputs) for name in names}
    return DDLCost(take_turns(steps, iters, warmup, setting.device), peaks)


def peak_memory(setting: DDLSetting, name: str) -> float:
    """Do a step in this process, and tell what they add to its peak.

    Args:
        setting (DDLSetting): What is measured.
        name (str): One of :func:`contenders`.

    Returns:
        float: MiB beyond the queue and the features.
    """
    inputs = _inputs(setting)
    # Starts the threads and fills the caches of the libraries.
    small = _inputs(setting._replace(queue_len=2 * setting.batch_size))
    contenders()[name](*small)
    return peak_growth(lambda: contenders()[name](*inputs), setting.device)


def format_ddl_table(costs: Dict[int, DDLCost]) -> str:
    """Write the costs as a Markdown table.

    Args:
        costs (dict[int, DDLCost]): By queue length.

    Returns:
        str: A row for each contender and queue length.
    """
    lines = [
        '| queue | step | ms | against two products | memory growth (MiB) |',
        '| ---: | :--- | ---: | ---: | ---: |'
    ]
    for queue_len, cost in costs.items():
        bare = next(iter(cost.seconds.values()))
        for name, seconds in cost.seconds.items():
            lines.append(f'| {queue_len} | {name} | '
                         f'{1000 * median(seconds):.1f} | '
                         f'x {median_ratio(seconds, bare):.2f} | '
                         f'{cost.peak_mib[name]:.0f} |')
    return '\n'.join(lines)
