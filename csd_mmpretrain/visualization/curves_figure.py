"""Figure of learning curves: mean and band of several seeds."""
from typing import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .figure_fonts import with_fonts


@with_fonts
def draw_curves(groups: Mapping[str, Sequence[Mapping[int, float]]],
                metric: str) -> Figure:
    """Draw the learning curves of groups of runs.

    A line is the mean of a group, its band one standard deviation, thin
    lines are the runs. The mean is of the epochs that all runs of the group
    have.

    Args:
        groups (Mapping[str, Sequence[Mapping[int, float]]]): By name, for
            each run the scores by epoch.
        metric (str): Name of the score.

    Returns:
        Figure: Ready for ``figure.savefig(path)``.

    Example:
        >>> draw_curves({'plain': [{1: 40., 2: 50.}, {1: 42., 2: 49.}]},
        ...             'accuracy/top1').savefig('curves.png')
    """
    figure = Figure(figsize=(7.2, 4.2), layout='constrained')
    axes = figure.add_subplot()
    for i, (name, runs) in enumerate(groups.items()):
        color, style = f'C{i % 10}', ('-', '--', ':', '-.')[i // 10 % 4]
        steps = sorted(set.intersection(*map(set, runs)))
        values = np.array([[run[s] for s in steps] for run in runs])
        for run in runs if len(runs) > 1 else ():
            axes.plot(*zip(*sorted(run.items())), color=color, lw=0.6,
                      ls=style, alpha=0.35)
        middle = values.mean(0)
        if len(runs) > 1:
            spread = values.std(0, ddof=1)
            axes.fill_between(steps, middle - spread, middle + spread,
                              color=color, alpha=0.15, lw=0)
        text = '1 run' if len(runs) == 1 else f'{len(runs)} runs'
        axes.plot(steps, middle, color=color, ls=style, lw=1.8,
                  marker='o' if len(steps) < 30 else None, ms=3,
                  label=f'{name} ({text})'.replace('$', r'\$'))
    axes.set(xlabel='epoch', ylabel=metric)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(lw=0.3)
    axes.spines[['top', 'right']].set_visible(False)
    fitting = 110 // (max(map(len, groups)) + 20)  # characters of the width
    figure.legend(loc='outside lower center', fontsize=8, frameon=False,
                  ncols=max(1, min(3, len(groups), fitting)))
    return figure
