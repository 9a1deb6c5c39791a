"""Figure of the accuracy of each class."""
from typing import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csd_mmpretrain.evaluation.class_accuracy import ClassAccuracy

# Classes that have a line each; of more, so many of the worst have one.
LINES, WORST = 120, 40


def draw_class_accuracy(rows: Sequence[ClassAccuracy],
                        cmap: str = 'viridis') -> Figure:
    """Draw the accuracies with their intervals, the worst on top.

    Up to 120 classes have a line each. Of more, all are a curve over their
    rank, and the 40 worst have lines beside it.

    Args:
        rows (Sequence[ClassAccuracy]): Of ``class_accuracies``; classes
            without images are left out.
        cmap (str): A colour map of matplotlib, for the accuracies. Defaults
            to ``'viridis'``.

    Returns:
        Figure: Ready for ``figure.savefig(path)``.

    Raises:
        ValueError: If no class has an image.
    """
    rows = [row for row in rows if row.total]
    if not rows:
        raise ValueError('draw_class_accuracy: no class has an image.')
    accuracy = np.array([row.accuracy for row in rows])
    if len(rows) <= LINES:
        figure = Figure(
            figsize=(5.6, 1.1 + 0.118 * len(rows)), layout='constrained')
        axes = figure.add_subplot()
        _draw_lines(axes, rows, accuracy.mean(), cmap)
    else:
        figure = Figure(figsize=(9.5, 5.2), layout='constrained')
        curve, axes = figure.subplots(1, 2, width_ratios=(1.25, 1))
        _draw_curve(curve, rows, accuracy)
        _draw_lines(axes, rows[:WORST], accuracy.mean(), cmap)
        axes.set_title(f'the {WORST} worst', fontsize=9)
    figure.suptitle(
        f'{len(rows)} classes, mean accuracy {accuracy.mean():.1%}, '
        f'{(accuracy == 1).sum()} without an error, '
        f'{(accuracy == 0).sum()} never right', fontsize=10)
    return figure


def _draw_lines(axes: Axes, rows: Sequence[ClassAccuracy], mean: float,
                cmap: str) -> None:
    places = range(len(rows))
    accuracy = [row.accuracy for row in rows]
    axes.hlines(places, [row.low for row in rows], [row.high for row in rows],
                color='0.75', lw=1.6, label='95 % interval')
    axes.scatter(accuracy, places, c=accuracy, cmap=cmap, vmin=0, vmax=1,
                 s=13, edgecolors='0.2', linewidths=0.4, zorder=3)
    axes.axvline(mean, color='0.3', lw=0.8, ls='--', zorder=0)
    axes.set_yticks(places,
                    [f'{row.name}  ({row.correct}/{row.total})'
                     for row in rows])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.tick_params(axis='y', labelsize=6, length=1.5, pad=1)
    axes.tick_params(axis='x', labelsize=8, labeltop=len(rows) > WORST)
    axes.set(xlim=(-0.02, 1.02), ylim=(len(rows) - 0.4, -0.6))
    axes.set_xlabel("accuracy, with Wilson's 95 % interval", fontsize=9)
    axes.xaxis.set_major_formatter('{x:.0%}')
    axes.grid(axis='x', lw=0.3)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)


def _draw_curve(axes: Axes, rows: Sequence[ClassAccuracy],
                accuracy: np.ndarray) -> None:
    rank = np.arange(1, len(rows) + 1)
    axes.fill_between(rank, [row.low for row in rows],
                      [row.high for row in rows], color='0.85', lw=0,
                      label='95 % interval', step='mid')
    axes.plot(rank, accuracy, color='tab:blue', lw=1.6, drawstyle='steps-mid',
              label='accuracy')
    axes.axhline(accuracy.mean(), color='0.3', lw=0.8, ls='--', label='mean')
    axes.set(xlim=(1, len(rows)), ylim=(-0.01, 1.01))
    axes.yaxis.set_major_formatter('{x:.0%}')
    axes.set_xlabel('classes, by accuracy', fontsize=9)
    axes.tick_params(labelsize=8)
    axes.legend(loc='lower right', fontsize=8, frameon=False)
    axes.grid(lw=0.3)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
