"""DDL's queue of a checkpoint: its contents, and their figure."""
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from mmengine.config import Config

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.checkpoints.pretrained import read_checkpoint
from csd_mmpretrain.methods.csdnet.ddl_queue_loss import DDLQueueLoss
from csd_mmpretrain.visualization.figure_fonts import with_fonts

POSITIVE, NEGATIVE, MARGIN = '#1a7f37', '#8250df', '#24292f'
# Inches of the matrix and of the panels beside it.
SIDE, PANEL = 8, 3.6
# Most features of the matrix, and most letters of a class name.
MOST, LONGEST = 2400, 28
# Features whose cosines are computed at once.
BLOCK = 512


class QueueContents(NamedTuple):
    """The filled places of a queue, sorted by class.

    Attributes:
        features (Tensor): (n, C), float32, unit vectors; within a class the
            oldest first.
        labels (Tensor): (n,), int64, ascending.
        length (int): Places of the queue, filled or empty.
        margin (float): The loss pushes negatives apart above this cosine.
        classes (list[str], optional): Names of all classes.
    """

    features: torch.Tensor
    labels: torch.Tensor
    length: int
    margin: float
    classes: Optional[Sequence[str]]


def read_queue(cfg: Config, checkpoint: str) -> QueueContents:
    """Read the queue of a checkpoint.

    Args:
        cfg (Config): The config that it was trained with.
        checkpoint (str): A .pth file.

    Returns:
        QueueContents: Its filled places.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the model has no ``DDLQueueLoss``, the checkpoint has
            no queue, or the queue has fewer than two features.
    """
    content = read_checkpoint(checkpoint)
    state = content.get('state_dict', content)
    loss = next((module for module in build_bare_model(cfg).modules()
                 if isinstance(module, DDLQueueLoss)), None)
    if loss is None:
        raise ValueError(
            'The model of the config has no DDLQueueLoss, whose queue and '
            'margin are drawn. Give a config whose head has '
            "contrast=dict(type='DDLQueueLoss', ...), such as "
            'configs/csdnet/grocery81.py.')
    # By its end, as older checkpoints have another name for the loss.
    name = next((name for name in state
                 if name.endswith('.queue.features')), None)
    if name is None:
        raise ValueError(
            f'{checkpoint} has no queue: it was trained without DDL, or has '
            'the weights of a backbone only. Give a checkpoint that '
            'tools/train.py has saved with this config.')
    features, labels, oldest = (state[name.replace('features', part)]
                                for part in ('features', 'labels', 'ptr'))
    shift = -int(oldest)
    sorted_labels, order = labels.roll(shift).sort(stable=True)
    empty = int((labels < 0).sum())
    if len(labels) - empty < 2:
        raise ValueError(
            f'The queue of {checkpoint} has {len(labels) - empty} of '
            f'{len(labels)} places filled, but at least 2 are compared. Give '
            'a checkpoint from after the first steps of a training.')
    classes = (content.get('meta') or {}).get('dataset_meta') or {}
    return QueueContents(
        features.float().roll(shift, 0)[order[empty:]], sorted_labels[empty:],
        len(labels), loss.margin, classes.get('classes'))


@with_fonts
def draw_queue_figure(queue: QueueContents, title: str = '') -> Figure:
    """Draw the cosines between the features, and the margin.

    The colors of the matrix turn at the margin: DDL pushes classes apart
    whose field off the diagonal is red, and pulls a class together whose
    block is blue. Of more than 2400 features, evenly spread ones are drawn.

    Args:
        queue (QueueContents): The features.
        title (str): Title of the figure. Defaults to ``''``.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.

    Example:
        ::

            queue = read_queue(cfg, 'work_dirs/demo/epoch_16.pth')
            draw_queue_figure(queue).savefig('queue.png', dpi=120)
    """
    figure = Figure(layout='constrained')
    axes = figure.subplot_mosaic(
        [['matrix', 'histogram'], ['matrix', 'nearest']],
        width_ratios=(SIDE, PANEL))
    figure.suptitle(title, size=12, weight='bold', parse_math=False)
    _draw_matrix(axes['matrix'], queue)
    _draw_histogram(axes['histogram'], queue)
    _draw_nearest(axes['nearest'], queue)
    beside = axes['matrix'].yaxis.get_tightbbox().width / figure.dpi
    figure.set_size_inches(SIDE + beside + PANEL + 1.3, SIDE + 0.8)
    return figure


def _draw_matrix(ax: Axes, queue: QueueContents) -> None:
    total = len(queue.labels)
    n = min(total, MOST)
    shown = torch.linspace(0, total - 1, n).long()
    features = queue.features[shown]
    cosines = (features @ features.t()).clamp(-1, 1).numpy()
    norm = TwoSlopeNorm(queue.margin,
                        min(float(cosines.min()), queue.margin - 0.05),
                        max(1., queue.margin + 0.05))
    drawn = ax.imshow(cosines, cmap='RdBu_r', norm=norm,
                      extent=(0, n, n, 0), interpolation='nearest')

    found, counts = queue.labels[shown].unique(return_counts=True)
    ends = counts.cumsum(0).tolist()
    for end, count in zip(ends, counts.tolist()):
        ax.add_patch(Rectangle((end - count, ) * 2, count, count, fill=False,
                               linewidth=0.9 if len(ends) <= 40 else 0.5))
    size = np.clip(0.9 * SIDE * 72 / len(found), 4, 7)
    centers = (counts.cumsum(0) - counts / 2).tolist()
    named = [0]
    for i, center in enumerate(centers):
        if center - centers[named[-1]] >= 1.05 * size / 72 * n / SIDE:
            named.append(i)
    ax.set_yticks([centers[i] for i in named],
                  [_name(int(found[i]), queue) for i in named], size=size,
                  parse_math=False)
    ax.set_xticks([])
    ax.tick_params(length=2, width=0.4, pad=2)
    ax.set_title(f'{total} of {queue.length} places filled, {len(found)} '
                 'classes; cosines between keys, ordered by class', size=9)
    ax.set_xlabel('the same keys', size=9)

    bar = ax.figure.colorbar(drawn, ax=ax, pad=0.01, aspect=50, ticks=[
        *np.linspace(norm.vmin, queue.margin, 4),
        *np.linspace(queue.margin, norm.vmax, 4)[1:]
    ], format='%.2f')
    bar.outline.set_linewidth(0.4)
    bar.ax.axhline(queue.margin, color=MARGIN, linewidth=1.2)
    bar.ax.tick_params(labelsize=7.5, length=2)


def _draw_histogram(ax: Axes, queue: QueueContents) -> None:
    edges = np.linspace(-1, 1, 101)
    positives, negatives, above = _cosine_histogram(queue, edges)
    for counts, name, color in ((positives, 'same class', POSITIVE),
                                (negatives, 'different classes', NEGATIVE)):
        total = counts.sum()
        density = counts / max(total, 1) / np.diff(edges)
        ax.stairs(density, edges, fill=True, color=color, alpha=0.45,
                  label=f'{name}: {total:,} pairs')
        ax.stairs(density, edges, color=color, linewidth=1)
    _draw_margin(ax, queue.margin, f'margin {queue.margin:g}: '
                 f'{above / max(negatives.sum(), 1):.1%} of different '
                 'classes above')
    seen = np.flatnonzero(positives + negatives)
    ax.set_xlim(min(edges[seen[0]], queue.margin - 0.05),
                max(edges[seen[-1] + 1], queue.margin + 0.05))
    ax.set_xlabel('cosine', size=9)
    ax.set_ylabel('density', size=9)
    ax.spines[['top', 'right']].set_visible(False)
    ax.set_ylim(0, 1.3 * ax.get_ylim()[1])
    ax.legend(loc='upper left', framealpha=1, edgecolor='none', fontsize=8.5)


def _cosine_histogram(queue: QueueContents,
                      edges: np.ndarray) -> Tuple[np.ndarray, np.ndarray, int]:
    """Pairs of one class and of two, by bin; those of two above the margin."""
    positives, negatives, above = 0, 0, 0
    for start in range(0, len(queue.labels), BLOCK):
        rows = slice(start, start + BLOCK)
        cosines = (queue.features[rows] @ queue.features[start:].t()).clamp(
            -1, 1)
        later = torch.ones_like(cosines, dtype=torch.bool).triu(1)
        same = queue.labels[rows, None] == queue.labels[None, start:]
        other = cosines[later & ~same]
        positives += np.histogram(cosines[later & same], edges)[0]
        negatives += np.histogram(other, edges)[0]
        above += int((other > queue.margin).sum())
    return positives, negatives, above


def _draw_nearest(ax: Axes, queue: QueueContents) -> None:
    pairs = _nearest_classes(queue)
    cosines = [pair[0] for pair in pairs]
    bars = ax.barh(range(len(pairs)), cosines, height=0.42, align='edge',
                   color=['#d6604d' if cosine > queue.margin else '#4393c3'
                          for cosine in cosines])
    ax.bar_label(bars, fmt=' %.2f', size=7)
    for place, (_, *labels) in enumerate(pairs):
        ax.text(0, place - 0.06,
                '  –  '.join(_name(label, queue) for label in labels),
                size=7, va='bottom', parse_math=False,
                transform=ax.get_yaxis_transform(),
                bbox=dict(facecolor='white', edgecolor='none', pad=0.4))
    _draw_margin(ax, queue.margin)
    ax.set(xlim=(min(0, queue.margin, *cosines), 1.05), yticks=[],
           ylim=(len(pairs) - 0.4, -0.7))
    ax.set_title('nearest classes, mean cosine', size=9, loc='left')
    ax.spines[['top', 'right', 'left']].set_visible(False)


def _nearest_classes(queue: QueueContents,
                     num: int = 10) -> List[Tuple[float, int, int]]:
    """Mean cosine and classes of the nearest pairs of classes."""
    found, index, counts = queue.labels.unique(
        return_inverse=True, return_counts=True)
    means = torch.zeros(len(found), queue.features.size(1)).index_add_(
        0, index, queue.features) / counts[:, None]
    first, second = torch.triu_indices(len(found), len(found), offset=1)
    cosines = (means @ means.t())[first, second]
    best = cosines.topk(min(num, len(cosines))).indices
    return list(zip(cosines[best].tolist(), found[first[best]].tolist(),
                    found[second[best]].tolist()))


def _draw_margin(ax: Axes, margin: float, label: str = '') -> None:
    ax.axvline(margin, color=MARGIN, linestyle='--', linewidth=1.2,
               label=label)
    ax.tick_params(labelsize=8)


def _name(label: int, queue: QueueContents) -> str:
    if queue.classes is None:
        return f'class {label}'
    name = str(queue.classes[label])
    return name if len(name) <= LONGEST else name[:LONGEST - 1] + '…'
