"""Plot of a suite: every run a dot, every method a mean and its interval."""
from pathlib import Path
from statistics import mean
from typing import Sequence

from .accuracy_table import Row


def plot_rows(rows: Sequence[Row], path: Path, metric: str) -> None:
    """Draw the scores of the methods.

    Args:
        rows (Sequence[Row]): Of ``make_rows``.
        path (Path): The picture; its ending names the format.
        metric (str): What is measured.

    Raises:
        ImportError: If matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('The plot needs matplotlib: '
                          'pip install "csd_mmpretrain[bench]".') from error
    figure = Figure(figsize=(8, 1.2 + 0.32 * len(rows)), layout='constrained')
    axes = figure.add_subplot()
    places = range(len(rows), 0, -1)
    for place, row in zip(places, rows):
        middle = mean(row.scores)
        colour = 'tab:grey' if row.difference is None else 'tab:blue'
        axes.plot(row.scores, [place] * len(row.scores), 'o', ms=4, alpha=0.4,
                  mew=0, color=colour)
        axes.plot(middle, place, 'D', ms=6, color=colour)
        if row.difference is None:
            axes.axvline(middle, lw=0.8, ls='--', color=colour)
        elif row.difference[2] > 1:
            axes.errorbar(middle, place, xerr=row.difference[1], capsize=3,
                          color=colour)
    axes.set_yticks(list(places), [row.method.title for row in rows])
    axes.set_xlabel(f'{metric}, %: runs, mean, 95 % interval of the '
                    'difference to the baseline')
    axes.grid(axis='x', lw=0.4)
    axes.spines[['top', 'right']].set_visible(False)
    figure.savefig(path, dpi=150)
