"""Figure of a confusion matrix that stays readable with many classes."""
from typing import Optional, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from .figure_fonts import with_fonts

# Most classes with names at the axes, counts in the cells, cells at all.
NAMED, COUNTED, CELLS = 120, 100, 300
LUMINANCE = (0.299, 0.587, 0.114)


@with_fonts
def draw_confusion(counts: np.ndarray,
                   classes: Sequence[str],
                   order: Optional[Sequence[int]] = None,
                   cmap: str = 'viridis_r',
                   include_values: bool = False,
                   figure: Optional[Figure] = None) -> Figure:
    """Draw which fraction of each class is predicted as which class.

    Up to 300 classes, each pair that occurs is a colored cell. Of more, cells
    would be too small to see: each confusion is a mark, and a strip shows the
    accuracy of the classes.

    Args:
        counts (ndarray): (K, K), int, rows are true classes.
        classes (Sequence[str]): K names, written up to 120 classes.
        order (Sequence[int], optional): The classes from the top left.
            Defaults to None, the order of the matrix.
        cmap (str): Color map of matplotlib. Defaults to ``'viridis_r'``.
        include_values (bool): Write the counts into the cells, up to 100
            classes. Defaults to False.
        figure (Figure, optional): Empty figure, such as one of pyplot.
            Defaults to None, a new one.

    Returns:
        Figure: Ready for ``figure.savefig(path)``.

    Example:
        >>> import numpy as np
        >>> counts = np.array([[4, 1], [0, 5]])
        >>> draw_confusion(counts, ['plum', 'peach']).savefig('matrix.png')
    """
    k = len(counts)
    order = np.arange(k) if order is None else np.asarray(order)
    counts = counts[np.ix_(order, order)]
    figure = Figure() if figure is None else figure
    figure.set_layout_engine('compressed', w_pad=0.1, h_pad=0.08)
    axes = figure.add_subplot()
    side = np.clip(0.105 * k, 3.2, 8.5)
    font = np.clip(59 * side / k, 3.5, 8)
    style = dict(cmap=cmap, vmin=0, vmax=1)
    rates = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    draw = _draw_cells if k <= CELLS else _draw_marks
    drawn = draw(axes, rates, style)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.03, pad=0.02, aspect=40)
    bar.set_label('fraction of the true class', fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    if include_values and k <= COUNTED:
        light = drawn.to_rgba(drawn.get_array())[..., :3] @ LUMINANCE > 0.5
        for y, x in zip(*np.nonzero(counts)):
            axes.text(x, y, counts[y, x], fontsize=0.8 * font, ha='center',
                      va='center_baseline',
                      color='black' if light[y, x] else 'white')
    accuracy = np.trace(counts) / max(counts.sum(), 1)
    axes.set_title(
        f'{k} classes, {counts.sum()} images, accuracy {accuracy:.1%}',
        fontsize=10)
    axes.set(xlabel='predicted class', ylabel='true class', aspect='equal')
    if k <= NAMED:
        names = [classes[i] for i in order]
        axes.set_xticks(range(k), names, rotation=90, parse_math=False)
        axes.set_yticks(range(k), names, parse_math=False)
        axes.tick_params(labelsize=font, length=1.5, pad=1)
    elif (order != np.arange(k)).any():
        # Places in another order are not the numbers of the classes.
        axes.set(xticks=[], yticks=[],
                 xlabel='predicted class (ordered by confusion)',
                 ylabel='true class (ordered by confusion)')
    beside = axes.yaxis.get_tightbbox().width / figure.dpi
    figure.set_size_inches(side + beside + 1, side + beside + 0.5)
    return figure


def _draw_cells(axes: Axes, rates: np.ndarray, style: dict) -> AxesImage:
    k = len(rates)
    lines = np.arange(0, k, 1 if k <= NAMED else 10) - 0.5
    axes.hlines(lines, -0.5, k - 0.5, color='0.92', lw=0.3, zorder=0.5)
    axes.vlines(lines, -0.5, k - 0.5, color='0.92', lw=0.3, zorder=0.5)
    return axes.imshow(
        np.ma.masked_equal(rates, 0), interpolation='nearest', **style)


def _draw_marks(axes: Axes, rates: np.ndarray,
                style: dict) -> PathCollection:
    k = len(rates)
    strip = axes.inset_axes((1.012, 0, 0.03, 1), xticks=[], yticks=[])
    empty = rates.sum(1) == 0
    strip.imshow(np.ma.masked_where(empty, np.diag(rates))[:, None],
                 aspect='auto', **style)
    strip.set_title('accuracy', fontsize=7, pad=3)
    axes.plot([0, k - 1], [0, k - 1], color='0.8', lw=0.8, zorder=1)
    axes.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5))
    errors = rates * (1 - np.eye(k))
    true, predicted = np.nonzero(errors)
    rise = np.argsort(errors[true, predicted])  # the worst on top
    true, predicted = true[rise], predicted[rise]
    rate = errors[true, predicted]
    return axes.scatter(predicted, true, 3 + 9 * rate, rate, linewidths=0,
                        zorder=2, rasterized=True, **style)
