"""Plot of a suite: every method against the baseline, pair by pair."""
from pathlib import Path
from statistics import mean
from typing import Sequence

from .accuracy_table import Row, paired_interval
from .suite import Suite


def plot_rows(rows: Sequence[Row], path: Path, suite: Suite) -> None:
    """Draw the differences of the methods to the baseline.

    A dot for each seed and split, a diamond for the mean, and its 95 %
    interval where there are three pairs or more.

    Args:
        rows (Sequence[Row]): Of ``make_rows``; that of the baseline is the
            line at 0.
        path (Path): The picture; its ending names the format.
        suite (Suite): Names baseline and metric.

    Raises:
        ImportError: If matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('The plot needs matplotlib: '
                          'pip install "csd_mmpretrain[bench]".') from error
    baseline = next(method.title for method in suite.methods
                    if method.name == suite.baseline)
    rows = [row for row in rows if row.differences]
    figure = Figure(figsize=(7, 1 + 0.25 * len(rows)), layout='constrained')
    axes = figure.add_subplot()
    axes.axvline(0, lw=0.8, ls='--', color='tab:grey')
    for place, row in enumerate(rows):
        middle = mean(row.differences)
        axes.plot(row.differences, [place] * len(row.differences), 'o', ms=4,
                  alpha=0.5, mew=0, color='tab:blue')
        axes.plot(middle, place, 'D', ms=6, color='tab:blue')
        if len(row.differences) > 2:
            _, half = paired_interval(row.differences)
            axes.errorbar(middle, place, xerr=half, capsize=3,
                          color='tab:blue')
    axes.set_yticks(
        range(len(rows)),
        [f'{row.method.title} ({len(row.differences)})' for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f'{suite.metric}: points above {baseline}\n'
                    '(in brackets: pairs of seeds or splits)')
    axes.grid(axis='x', lw=0.4)
    axes.spines[['top', 'right']].set_visible(False)
    figure.savefig(path, dpi=130)
