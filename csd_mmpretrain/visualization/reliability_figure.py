"""Figure of the calibration: accuracy over confidence, and the counts."""
from typing import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csd_mmpretrain.evaluation.calibration import Calibration

from .figure_fonts import with_fonts


@with_fonts
def draw_reliability(found: Mapping[str, Calibration]) -> Figure:
    """Draw a reliability diagram with the counts of its bins.

    Args:
        found (Mapping[str, Calibration]): By title; each is a column.

    Returns:
        Figure: Ready for ``figure.savefig(path)``.

    Source:
        Guo et al., On calibration of modern neural networks, 2017, figure 1.
    """
    figure = Figure(figsize=(3.5 * len(found), 5.4), layout='constrained')
    grid = figure.subplots(
        2, len(found), squeeze=False, height_ratios=(3, 1.1), sharex=True,
        sharey='row')
    for (title, result), (top, bottom) in zip(found.items(), grid.T):
        _draw_bars(top, result)
        top.set_title(
            f'{title}\naccuracy {result.accuracy:.1%}, confidence '
            f'{result.confidence:.1%}\nECE {result.ece:.3f}, adaptive '
            f'{result.adaptive_ece:.3f}\nNLL {result.nll:.3f}, Brier '
            f'{result.brier:.3f}', fontsize=8.5, linespacing=1.3)
        _draw_counts(bottom, result)
    grid[0, 0].set_ylabel('accuracy')
    grid[1, 0].set_ylabel('images')
    drawn = [axes.get_legend_handles_labels() for axes in grid[:, 0]]
    figure.legend(*map(sum, zip(*drawn), ([], [])), loc='outside lower center',
                  fontsize=7.5, frameon=False, ncols=1 + len(found))
    return figure


def _draw_bars(axes: Axes, result: Calibration) -> None:
    edges, _, confidence, accuracy = result.bins
    left, width = edges[:-1], np.diff(edges)
    axes.bar(left, accuracy, width, align='edge', color='#9dbfe0',
             edgecolor='white', lw=0.6, label='accuracy')
    axes.bar(left, confidence - accuracy, width, accuracy, align='edge',
             facecolor='none', edgecolor='#c0392b', lw=0.7, hatch='////',
             label='gap to the mean confidence')
    axes.plot([0, 1], [0, 1], color='0.3', lw=0.9, ls='--',
              label='calibrated')
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.tick_params(labelsize=8)


def _draw_counts(axes: Axes, result: Calibration) -> None:
    edges, counts = result.bins[:2]
    axes.bar(edges[:-1], counts, np.diff(edges), align='edge', color='0.78',
             edgecolor='white', lw=0.6)
    axes.axvline(result.accuracy, color='#2c5f8a', lw=1.4,
                 label='accuracy of all')
    axes.axvline(result.confidence, color='#c0392b', lw=1.4,
                 label='mean confidence of all')
    axes.set_xlabel('confidence')
    axes.tick_params(labelsize=8)
    axes.spines[['top', 'right']].set_visible(False)
