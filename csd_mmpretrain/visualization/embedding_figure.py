"""Figure of embedded features: scatter plots and a legend beside them."""
from typing import List, Mapping, NamedTuple, Optional, Sequence, Tuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

MARKERS = ('o', '^', 's', 'D', 'v', 'P', 'X', '*', 'p')
HUES = 10
# More classes than colours can tell apart also have numbers on the plot.
NUMBERED = 20
# Inches.
SIDE, EDGE, GAP, TITLE, LINE, MARKER, LETTER = (5.0, 0.12, 0.2, 0.5, 0.178,
                                                0.34, 0.063)


class EmbeddingPanel(NamedTuple):
    """A plot.

    Attributes:
        points (ndarray): (N, 2), floating.
        title (str): One or two lines.
    """

    points: np.ndarray
    title: str


def class_style(number: int) -> Tuple[Tuple[float, ...], str]:
    """Choose the colour and the marker of a class.

    Args:
        number (int): The position of the class in the legend.

    Returns:
        tuple: RGB and a marker of matplotlib. 90 classes in a row differ.

    Example:
        >>> class_style(10)[1]
        '^'
    """
    turn = number // HUES
    colours = matplotlib.colormaps['tab20'].colors
    return (colours[2 * (number % HUES) + turn % 2],
            MARKERS[turn % len(MARKERS)])


def draw_embedding_figure(panels: Sequence[EmbeddingPanel],
                          labels: Sequence[int],
                          names: Mapping[int, str],
                          legend: bool = True) -> Figure:
    """Draw features as points, one colour and marker per class.

    The legend is beside the plots. With more than 20 classes it numbers
    them, and the numbers stand at the median of each class too. Nothing of
    pyplot's state is touched.

    Args:
        panels (Sequence[EmbeddingPanel]): Plots side by side, of the same
            images in the same order.
        labels (Sequence[int]): The class of each image.
        names (Mapping[int, str]): The name of each class, in the legend's
            order.
        legend (bool): Whether there is a legend. Defaults to True.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.

    Raises:
        ValueError: If there is no plot, or the numbers of points and labels
            differ.

    Example:
        >>> import numpy as np
        >>> panel = EmbeddingPanel(np.eye(2), 't-SNE')
        >>> draw_embedding_figure([panel], [0, 1], {0: 'oak', 1: 'elm'})
        <Figure size ...>
    """
    labels = np.asarray(labels)
    if not panels or any(len(p.points) != len(labels) for p in panels):
        raise ValueError(
            'draw_embedding_figure: as many points as labels are expected, '
            f'but there are {len(labels)} labels and plots of '
            f'{[len(p.points) for p in panels]} points.')
    numbered = len(names) > NUMBERED
    texts = [f'{i + 1}  {name}' if numbered else name
             for i, name in enumerate(names.values())]
    columns, beside = _legend_size(texts) if legend else (1, 0.)
    width = 2 * EDGE + len(panels) * (SIDE + GAP) - GAP + beside
    height = TITLE + SIDE + EDGE
    figure = Figure(figsize=(width, height), facecolor='white')
    for i, panel in enumerate(panels):
        ax = figure.add_axes(((EDGE + i * (SIDE + GAP)) / width,
                              EDGE / height, SIDE / width, SIDE / height))
        _scatter(ax, panel.points, labels, names, numbered)
        ax.set_title(panel.title, size=10, pad=6, parse_math=False)
    if legend:
        handles = [_handle(i) for i in range(len(names))]
        figure.legend(
            handles, texts, ncols=columns, loc='upper left',
            bbox_to_anchor=(1 - (beside - GAP / 2) / width,
                            (EDGE + SIDE) / height),
            frameon=False, fontsize=8, borderaxespad=0, borderpad=0,
            handletextpad=0.2, handlelength=1.2, columnspacing=1.0,
            labelspacing=0.35)
    return figure


def _legend_size(texts: List[str]) -> Tuple[int, float]:
    """Columns of a legend as high as a plot, and its width in inches."""
    rows = int(SIDE / LINE)
    columns = -(-len(texts) // rows)
    # Matplotlib fills the columns evenly, the first ones first.
    sizes = [len(texts) // columns + (i < len(texts) % columns)
             for i in range(columns)]
    width, start = GAP, 0
    for size in sizes:
        width += MARKER + LETTER * max(map(len, texts[start:start + size]))
        start += size
    return columns, width


def _scatter(ax: Axes, points: np.ndarray, labels: np.ndarray,
             names: Mapping[int, str], numbered: bool) -> None:
    size = float(np.clip(9000 / len(points), 10, 44))
    for i, label in enumerate(names):
        colour, marker = class_style(i)
        ax.scatter(*points[labels == label, :2].T, s=size, color=colour,
                   marker=marker, linewidths=0.3, edgecolors='0.25')
    for i, label in enumerate(names):
        if numbered and (labels == label).any():
            text = ax.text(*np.median(points[labels == label, :2], axis=0),
                           str(i + 1), size=6.5, ha='center', va='center')
            text.set_path_effects([withStroke(linewidth=1.8,
                                              foreground='white')])
    ax.set(xticks=[], yticks=[])
    ax.margins(0.04)
    for spine in ax.spines.values():
        spine.set(linewidth=0.6, color='0.6')


def _handle(number: int) -> Line2D:
    colour, marker = class_style(number)
    return Line2D([], [], linestyle='', marker=marker, color=colour,
                  markersize=6, markeredgewidth=0.3, markeredgecolor='0.25')


def score_line(scores: Mapping[str, Optional[float]], space: str) -> str:
    """Say how well the features separate the classes, and in which space.

    Args:
        scores (Mapping[str, float | None]): See
            :func:`~csd_mmpretrain.visualization.embedding.separation`.
        space (str): What the scores are of.

    Returns:
        str: One line.

    Example:
        >>> score_line({'1-NN': 0.5, 'silhouette': None}, '2-d features')
        '1-NN 50.0% in the 2-d features'
    """
    parts = [f'1-NN {scores["1-NN"]:.1%}']
    if scores['silhouette'] is not None:
        parts.append(f'silhouette {scores["silhouette"]:.2f}')
    return f'{", ".join(parts)} in the {space}'
