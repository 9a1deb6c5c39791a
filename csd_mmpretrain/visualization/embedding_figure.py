"""Figure of embedded features: scatter plots with a legend on the right."""
from typing import Mapping, Sequence, Tuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from .figure_fonts import with_fonts

MARKERS = ('o', '^', 's', 'D', 'v', 'P', 'X', '*', 'p')
# With more classes, the colors alone do not tell them apart.
NUMBERED = 20
LEGEND_ROWS = 28


@with_fonts
def draw_embedding_figure(panels: Sequence[Tuple[str, np.ndarray]],
                          labels: Sequence[int],
                          names: Mapping[int, str],
                          legend: bool = True) -> Figure:
    """Draw features as points, with a color and marker for each class.

    More than 20 classes are numbered, in the legend and at the median of
    their points.

    Args:
        panels (Sequence[tuple[str, ndarray]]): Title and points, (N, 2), of
            each plot, side by side.
        labels (Sequence[int]): (N,), the class of each point.
        names (Mapping[int, str]): The name of each class, in the order of
            the legend.
        legend (bool): Whether to draw the legend. Defaults to True.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.

    Example:
        >>> import numpy as np
        >>> draw_embedding_figure([('t-SNE', np.eye(2))], [0, 1],
        ...                       {0: 'oak', 1: 'elm'})
        <Figure size ...>
    """
    labels = np.asarray(labels)
    figure = Figure(figsize=(5.2 * len(panels), 5.6), layout='constrained')
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (title, points) in zip(axes, panels):
        _scatter(ax, points, labels, names)
        ax.set_title(title, size=10, parse_math=False)
    if legend:
        box = figure.legend(
            *axes[0].get_legend_handles_labels(), fontsize=8, frameon=False,
            loc='outside right upper', ncols=-(-len(names) // LEGEND_ROWS),
            handlelength=1.2, handletextpad=0.2, columnspacing=1,
            labelspacing=0.35)
        for handle in box.legend_handles:
            handle.set_sizes([36])
        beside = box.get_window_extent().width / figure.dpi
        figure.set_figwidth(figure.get_figwidth() + beside)
    return figure


def _style(number: int) -> dict:
    turn, hue = divmod(number, 10)
    return dict(color=matplotlib.colormaps['tab20'](2 * hue + turn % 2),
                marker=MARKERS[turn % len(MARKERS)])


def _scatter(ax: Axes, points: np.ndarray, labels: np.ndarray,
             names: Mapping[int, str]) -> None:
    size = np.clip(9000 / len(points), 10, 44)
    for number, (label, name) in enumerate(names.items()):
        mine = points[labels == label, :2]
        if len(names) > NUMBERED:
            name = f'{number + 1}  {name}'
            text = ax.text(*np.median(mine, axis=0), str(number + 1),
                           size=6.5, ha='center', va='center', zorder=3)
            text.set_path_effects([withStroke(linewidth=1.8,
                                              foreground='white')])
        ax.scatter(*mine.T, size, linewidths=0.3, edgecolors='0.25',
                   label=name, **_style(number))
    ax.set(xticks=[], yticks=[], box_aspect=1)
    ax.margins(0.04)
    ax.spines[:].set(linewidth=0.6, color='0.6')
