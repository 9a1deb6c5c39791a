"""Figure of a confusion matrix that stays readable with many classes."""
from typing import Optional, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csd_mmpretrain.evaluation.confusion_pairs import confusion_rates

# Up to so many classes: names at the axes, counts in the cells, cells at all.
NAMED, COUNTED, CELLS = 120, 100, 300


def draw_confusion(counts: np.ndarray,
                   classes: Sequence[str],
                   order: Optional[np.ndarray] = None,
                   cmap: str = 'viridis_r',
                   include_values: bool = False,
                   figure: Optional[Figure] = None) -> Figure:
    """Draw which part of each class is taken for which class.

    Up to 300 classes, a coloured cell for each pair that occurs. Above, a
    mark for each confusion, which stays visible where a cell would be smaller
    than a dot of the print, and a strip with the accuracy of the classes.

    Args:
        counts (ndarray): (K, K), int, rows are true, columns predicted
            classes.
        classes (Sequence[str]): K names; they are written up to 120 classes.
        order (ndarray, optional): (K, ), the classes from the top left.
            Defaults to None, which keeps that of the matrix.
        cmap (str): A colour map of matplotlib. Defaults to ``'viridis_r'``.
        include_values (bool): Write the counts into the cells, up to 100
            classes. Defaults to False.
        figure (Figure, optional): An empty figure to draw on, such as one of
            pyplot. Defaults to None, which makes one.

    Returns:
        Figure: Ready for ``figure.savefig(path)``.

    Raises:
        ValueError: If there is not one name per class, or no colour map of
            this name.

    Example:
        >>> import numpy as np
        >>> counts = np.array([[4, 1], [0, 5]])
        >>> draw_confusion(counts, ['plum', 'peach']).savefig('matrix.png')
    """
    k = len(counts)
    if len(classes) != k:
        raise ValueError(f'There are {len(classes)} names for {k} classes.')
    if cmap not in colormaps:
        raise ValueError(f'cmap={cmap!r} is no colour map of matplotlib. '
                         'Choose one such as viridis_r, magma_r or Blues.')
    order = np.arange(k) if order is None else np.asarray(order)
    figure = Figure() if figure is None else figure
    figure.set_layout_engine('compressed', w_pad=0.1, h_pad=0.08)
    side = float(np.clip(0.105 * k, 3.2, 8.5))
    named = k <= NAMED
    font = float(np.clip(72 * side / k * 0.82, 3.5, 8))
    longest = max(map(len, classes)) if named else 4
    names = 0.0075 * font * longest
    figure.set_size_inches(side + names + 1.3, side + names + 0.7)
    axes = figure.add_subplot()
    counts = counts[np.ix_(order, order)]
    if k <= CELLS:
        _draw_cells(axes, counts, cmap, include_values and k <= COUNTED, font)
    else:
        _draw_marks(axes, counts, cmap)
    accuracy = np.trace(counts) / max(counts.sum(), 1)
    axes.set_title(
        f'{k} classes, {counts.sum()} images, accuracy {accuracy:.1%}',
        fontsize=10)
    axes.set(xlabel='predicted class', ylabel='true class')
    axes.set_aspect('equal')
    if named:
        text = [classes[i] for i in order]
        axes.set_xticks(range(k), text, rotation=90)
        axes.set_yticks(range(k), text)
        axes.tick_params(labelsize=font, length=1.5, pad=1)
        for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
            label.set_parse_math(False)
    elif (order != np.arange(k)).any():
        # Places in another order are no numbers of classes.
        axes.set(xticks=[], yticks=[])
        axes.set(xlabel='predicted class (ordered by confusion)',
                 ylabel='true class (ordered by confusion)')
    return figure


def _draw_cells(axes: Axes, counts: np.ndarray, cmap: str, values: bool,
                font: float) -> None:
    rates = confusion_rates(counts)
    image = axes.imshow(
        np.ma.masked_equal(rates, 0),
        cmap=cmap,
        vmin=0,
        vmax=1,
        interpolation='nearest')
    k = len(counts)
    step = 1 if k <= NAMED else 10
    lines = np.arange(step, k, step) - 0.5
    axes.hlines(lines, -0.5, k - 0.5, color='0.92', lw=0.3, zorder=0.5)
    axes.vlines(lines, -0.5, k - 0.5, color='0.92', lw=0.3, zorder=0.5)
    _add_bar(axes, image)
    if values:
        for row, column in zip(*np.nonzero(counts)):
            red, green, blue, _ = image.cmap(image.norm(rates[row, column]))
            light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
            axes.text(
                column,
                row,
                str(counts[row, column]),
                ha='center',
                va='center_baseline',
                fontsize=0.8 * font,
                color='black' if light else 'white')


def _draw_marks(axes: Axes, counts: np.ndarray, cmap: str) -> None:
    k = len(counts)
    rates = confusion_rates(counts)
    accuracy = np.diag(rates).copy()
    np.fill_diagonal(rates, 0)
    true, predicted = np.nonzero(rates)
    part = rates[true, predicted]
    rise = np.argsort(part)  # the worst on top
    axes.plot([0, k - 1], [0, k - 1], color='0.8', lw=0.8, zorder=1)
    marks = axes.scatter(
        predicted[rise],
        true[rise],
        c=part[rise],
        s=3 + 9 * part[rise],
        cmap=cmap,
        vmin=0,
        vmax=1,
        linewidths=0,
        zorder=2,
        rasterized=True)
    axes.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5))
    strip = axes.inset_axes((1.012, 0, 0.03, 1))
    strip.imshow(
        np.ma.masked_where(counts.sum(1) == 0, accuracy)[:, None],
        cmap=cmap,
        vmin=0,
        vmax=1,
        aspect='auto')
    strip.set(xticks=[], yticks=[])
    strip.set_title('accuracy', fontsize=7, pad=3)
    _add_bar(axes, marks)


def _add_bar(axes: Axes, drawn: object) -> None:
    bar = axes.figure.colorbar(
        drawn, ax=axes, fraction=0.03, pad=0.02, aspect=40)
    bar.set_label('part of the true class', fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
