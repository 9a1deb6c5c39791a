"""Figure of DDL's queue: who is near whom, and the margin."""
from typing import TYPE_CHECKING, List, Sequence, Tuple

import numpy as np
import torch

from .queue_contents import (
    CosineHistogram,
    QueueContents,
    cosine_histogram,
    nearest_classes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = 'RdBu_r'
POSITIVE, NEGATIVE, MARGIN = '#1a7f37', '#8250df', '#24292f'
# Inches.
SIDE, PANEL, BAR = 8.0, 3.6, 0.16
TOP, BOTTOM, GAP, EDGE = 0.62, 0.5, 0.55, 0.12
# Of the matrix, and of a class name's letters.
MOST_KEYS = 2400
LETTER = 0.0105
LONGEST = 28


def draw_queue_figure(queue: QueueContents, title: str = '') -> 'Figure':
    """Draw the cosines between the keys, their histograms and the margin.

    The matrix is ordered by class, within a class by age. Its colours turn
    at the margin: a red field off the diagonal blocks is a pair of classes
    that DDL pushes apart, a blue one inside a block a pair that it pulls
    together. Of more than 2400 keys, evenly spread ones are drawn; the
    histograms are of all.

    Args:
        queue (QueueContents): The keys.
        title (str): Stands above all. Defaults to ``''``.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.

    Example:
        ::

            queue = read_queue(cfg, 'work_dirs/demo/epoch_16.pth')
            draw_queue_figure(queue).savefig('queue.png', dpi=120)
    """
    from matplotlib.figure import Figure

    found = queue.labels.unique().tolist()
    size = min(7., 0.9 * SIDE * 72 / len(found))
    size = max(size, 4.)
    names = [_name(label, queue) for label in found]
    left = EDGE + max(map(len, names)) * size * LETTER + 0.1
    width = left + SIDE + 0.1 + BAR + GAP + PANEL + EDGE + 0.35
    height = TOP + SIDE + BOTTOM
    figure = Figure(figsize=(width, height), facecolor='white')

    def add_axes(x: float, y: float, w: float, h: float) -> 'Axes':
        return figure.add_axes((x / width, y / height, w / width, h / height))

    figure.text(left / width, 1 - 0.2 / height, title, size=12, va='center',
                weight='bold', parse_math=False)
    figure.text(
        left / width, 1 - 0.44 / height,
        f'{len(queue.labels)} of {queue.length} places filled, '
        f'{len(found)} classes; cosines between keys, ordered by class',
        size=9, va='center')
    _draw_matrix(
        add_axes(left, BOTTOM, SIDE, SIDE),
        add_axes(left + SIDE + 0.1, BOTTOM, BAR, SIDE), queue, names, size)

    right = left + SIDE + 0.1 + BAR + GAP + 0.35
    half = (SIDE - 1.3) / 2
    _draw_histogram(
        add_axes(right, BOTTOM + SIDE - half - 0.45, PANEL, half),
        cosine_histogram(queue), queue.margin)
    _draw_nearest(add_axes(right, BOTTOM, PANEL, half), queue)
    return figure


def _draw_matrix(ax: 'Axes', bar: 'Axes', queue: QueueContents,
                 names: Sequence[str], size: float) -> None:
    from matplotlib.colors import TwoSlopeNorm
    from matplotlib.patches import Rectangle

    total = len(queue.labels)
    shown = torch.linspace(0, total - 1, min(total, MOST_KEYS)).long()
    labels, features = queue.labels[shown], queue.features[shown]
    cosines = (features @ features.t()).clamp(-1, 1).numpy()
    low = min(float(cosines.min()), queue.margin - 0.05)
    norm = TwoSlopeNorm(queue.margin, low, max(1., queue.margin + 0.05))
    n = len(shown)
    drawn = ax.imshow(cosines, cmap=COLOURS, norm=norm,
                      extent=(0, n, n, 0), interpolation='nearest')

    counts = labels.unique(return_counts=True)[1]
    ends = counts.cumsum(0).tolist()
    starts = [0, *ends[:-1]]
    if len(ends) <= 40:
        for end in ends[:-1]:
            ax.axhline(end, color='white', linewidth=0.3)
            ax.axvline(end, color='white', linewidth=0.3)
    line = 0.9 if len(ends) <= 40 else 0.5
    for start, end in zip(starts, ends):
        ax.add_patch(Rectangle((start, start), end - start, end - start,
                               fill=False, edgecolor='black',
                               linewidth=line))
    centres = [(a + b) / 2 for a, b in zip(starts, ends)]
    named = _apart(centres, 1.05 * size / 72 * n / SIDE)
    ax.set_yticks([centres[i] for i in named],
                  [names[i] for i in named], size=size, parse_math=False)
    ax.set_xticks([])
    ax.tick_params(length=2, width=0.4, pad=2)
    ax.set_xlabel('the same keys', size=9)

    colour_bar = ax.figure.colorbar(drawn, cax=bar)
    colour_bar.outline.set_linewidth(0.4)
    ticks = np.linspace(low, queue.margin, 4)[:-1].tolist()
    ticks += np.linspace(queue.margin, norm.vmax, 4).tolist()
    colour_bar.set_ticks(
        ticks, labels=[f'{tick:.2f}' for tick in ticks])
    bar.axhline(queue.margin, color=MARGIN, linewidth=1.2)
    bar.tick_params(labelsize=7.5, length=2)


def _draw_histogram(ax: 'Axes', histogram: CosineHistogram,
                    margin: float) -> None:
    edges = histogram.edges
    seen = np.flatnonzero(histogram.positives + histogram.negatives)
    pairs = histogram.negatives.sum()
    for counts, name, colour in (
        (histogram.positives, 'same class', POSITIVE),
        (histogram.negatives, 'different classes', NEGATIVE)):
        total = counts.sum()
        density = counts / max(total, 1) / np.diff(edges)
        ax.stairs(density, edges, fill=True, color=colour, alpha=0.45,
                  label=f'{name}: {total:,} pairs')
        ax.stairs(density, edges, color=colour, linewidth=1)
    above = histogram.violating / max(pairs, 1)
    ax.axvline(margin, color=MARGIN, linestyle='--', linewidth=1.2,
               label=f'margin {margin:g}: {above:.1%} of different '
               'classes above')
    ax.set_xlim(min(edges[seen[0]], margin - 0.05),
                max(edges[seen[-1] + 1], margin + 0.05))
    ax.set_xlabel('cosine', size=9)
    ax.set_ylabel('density', size=9)
    ax.tick_params(labelsize=8)
    ax.spines[['top', 'right']].set_visible(False)
    ax.legend(loc='lower left', bbox_to_anchor=(-0.02, 1.0), frameon=False,
              fontsize=8.5, borderaxespad=0.3)


def _draw_nearest(ax: 'Axes', queue: QueueContents) -> None:
    pairs = nearest_classes(queue)
    places = range(len(pairs))
    ax.barh(places, [pair.cosine for pair in pairs], height=0.42,
            align='edge', color=[
                '#d6604d' if pair.cosine > queue.margin else '#4393c3'
                for pair in pairs
            ])
    for place, pair in zip(places, pairs):
        text = f'{_name(pair.first, queue)}  –  {_name(pair.second, queue)}'
        ax.text(0, place - 0.06, text, size=7, va='bottom', parse_math=False,
                transform=ax.get_yaxis_transform(),
                bbox=dict(facecolor='white', edgecolor='none', pad=0.4))
        end = min(max(pair.cosine, 0), 0.88)
        ax.text(end, place + 0.21, f' {pair.cosine:.2f}', size=7, va='center')
    ax.axvline(queue.margin, color=MARGIN, linestyle='--', linewidth=1.2)
    ax.set_ylim(len(pairs) - 0.4, -0.7)
    ax.set_xlim(min(0., *[pair.cosine for pair in pairs], queue.margin)
                if pairs else 0., 1)
    ax.set_yticks([])
    ax.set_title('nearest classes, mean cosine', size=9, loc='left')
    ax.tick_params(labelsize=8)
    ax.spines[['top', 'right', 'left']].set_visible(False)


def _name(label: int, queue: QueueContents) -> str:
    if queue.classes is None:
        return f'class {label}'
    name = str(queue.classes[label])
    return name if len(name) <= LONGEST else name[:LONGEST - 1] + '…'


def _apart(centres: Sequence[float], least: float) -> List[int]:
    """Choose ticks from the top that leave room for each other's names."""
    chosen: List[Tuple[int, float]] = []
    for index, centre in enumerate(centres):
        if not chosen or centre - chosen[-1][1] >= least:
            chosen.append((index, centre))
    return [index for index, _ in chosen]
