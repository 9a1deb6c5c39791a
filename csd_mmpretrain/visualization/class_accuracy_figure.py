"""Figure of the accuracy of each class."""
from typing import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csd_mmpretrain.evaluation.class_accuracy import ClassAccuracy

from .figure_fonts import with_fonts

# Up to LINES classes have a line each; of more, the WORST.
LINES, WORST = 120, 40


@with_fonts
def draw_class_accuracy(rows: Sequence[ClassAccuracy]) -> Figure:
    """Draw the accuracies with their intervals, the worst on top.

    Up to 120 classes have a line each. Of more, all are a curve by rank,
    and the 40 worst have lines beside it.

    Args:
        rows (Sequence[ClassAccuracy]): Of ``class_accuracies``; classes
            without images are left out.

    Returns:
        Figure: Ready for ``figure.savefig(path)``.
    """
    rows = [row for row in rows if row.total]
    accuracy = np.array([row.accuracy for row in rows])
    if len(rows) <= LINES:
        figure = Figure(
            figsize=(5.6, 1.1 + 0.118 * len(rows)), layout='constrained')
        _draw_lines(figure.add_subplot(), rows, accuracy.mean())
    else:
        figure = Figure(figsize=(9.5, 5.2), layout='constrained')
        curve, axes = figure.subplots(1, 2, width_ratios=(1.25, 1))
        _draw_curve(curve, rows, accuracy)
        _draw_lines(axes, rows[:WORST], accuracy.mean())
        axes.set_title(f'the {WORST} worst', fontsize=9)
    figure.suptitle(
        f'{len(rows)} classes, mean accuracy {accuracy.mean():.1%}, '
        f'{(accuracy == 1).sum()} without an error, '
        f'{(accuracy == 0).sum()} never right', fontsize=10)
    return figure


def _draw_lines(axes: Axes, rows: Sequence[ClassAccuracy],
                mean: float) -> None:
    *_, accuracy, low, high = zip(*rows)
    places = range(len(rows))
    axes.hlines(places, low, high, color='0.75', lw=1.6)
    axes.scatter(accuracy, places, c=accuracy, vmin=0, vmax=1, s=13,
                 edgecolors='0.2', linewidths=0.4, zorder=3)
    axes.axvline(mean, color='0.3', lw=0.8, ls='--', zorder=0)
    names = [f'{row.name}  ({row.correct}/{row.total})' for row in rows]
    axes.set_yticks(places, names, parse_math=False)
    axes.tick_params(axis='y', labelsize=6, length=1.5, pad=1)
    axes.tick_params(axis='x', labelsize=8, labeltop=len(rows) > WORST)
    axes.set(xlim=(-0.02, 1.02), ylim=(len(rows) - 0.4, -0.6))
    axes.set_xlabel("accuracy, with Wilson's 95 % interval", fontsize=9)
    axes.xaxis.set_major_formatter('{x:.0%}')
    _clean(axes, 'x')


def _draw_curve(axes: Axes, rows: Sequence[ClassAccuracy],
                accuracy: np.ndarray) -> None:
    rank = range(1, len(rows) + 1)
    *_, low, high = zip(*rows)
    axes.fill_between(rank, low, high, color='0.85', lw=0, step='mid',
                      label='95 % interval')
    axes.plot(rank, accuracy, color='tab:blue', lw=1.6, drawstyle='steps-mid',
              label='accuracy')
    axes.axhline(accuracy.mean(), color='0.3', lw=0.8, ls='--', label='mean')
    axes.set(xlim=(1, len(rows)), ylim=(-0.01, 1.01))
    axes.yaxis.set_major_formatter('{x:.0%}')
    axes.set_xlabel('classes, by accuracy', fontsize=9)
    axes.tick_params(labelsize=8)
    axes.legend(loc='lower right', fontsize=8, frameon=False)
    _clean(axes, 'both')


def _clean(axes: Axes, grid: str) -> None:
    axes.grid(axis=grid, lw=0.3)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
