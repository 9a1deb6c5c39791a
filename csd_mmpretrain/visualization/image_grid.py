"""Grids of images with titles, captions, heat maps and frames."""
import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .figure_fonts import with_fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREEN, RED, BLUE, DARK, GRAY = '#1b7a4b', '#c0392b', '#2c5f8a', '0.25', '0.55'
YELLOW = '#ffd400'
_TITLE, _CAPTION = 8, 7  # points
_LEAST, _GAP = 0.7, 0.15  # inches: a narrow column, an empty one
# A color scale covers at least this fraction of the largest value.
_LEAST_SPAN = 0.05
_TO_GRAY = np.array([0.299, 0.587, 0.114])


class Panel(NamedTuple):
    """An image in a grid, with what is drawn on and around it.

    Attributes:
        image (ndarray): (H, W, 3), uint8, RGB; or (H, W) in [0, 1], in gray.
        title (str): Above it, and above the panels to its right without one.
        captions (Sequence[tuple[str, str]]): Lines below it, each with its
            color.
        heat (ndarray, optional): (h, w), a map over the image in gray.
        boxes (Sequence[tuple]): Left, top, right, bottom in pixels of each
            box that is drawn; right and bottom are excluded.
        edge (ndarray, optional): (H, W), bool, a mask whose edge is drawn.
        frame (str): Color of the frame.
        sign (str): In the corner, in white on the frame's color.
        dashed (bool): Whether the frame is.
    """

    image: np.ndarray
    title: str = ''
    captions: Sequence[Tuple[str, str]] = ()
    heat: Optional[np.ndarray] = None
    boxes: Sequence[Tuple[int, int, int, int]] = ()
    edge: Optional[np.ndarray] = None
    frame: str = GRAY
    sign: str = ''
    dashed: bool = False


@with_fonts
def draw_grid(rows: Sequence[Sequence[Optional[Panel]]],
              headings: Sequence[str] = (),
              columns: Optional[int] = 1,
              cell: float = 2.,
              title: str = '',
              note: str = '',
              bar: str = '',
              square: bool = False) -> 'Figure':
    """Draw rows of panels, with images in their own proportions.

    Long texts are wrapped to the width of their panel, and cut after three
    lines. Nothing of pyplot's state is touched.

    Args:
        rows (Sequence[Sequence[Panel | None]]): None leaves a place empty; a
            column of None is a narrow gap.
        headings (Sequence[str]): Titles of the first row's panels. Defaults
            to (), their own.
        columns (int, optional): Rows side by side; None makes the figure
            about as wide as high. Defaults to 1.
        cell (float): Height of a panel in inches. Defaults to 2.
        title (str): Above the grid. Defaults to ``''``.
        note (str): Below the grid. Defaults to ``''``.
        bar (str): Label of one color bar, from 0 to 1, for all heat maps.
            Defaults to ``''``: each has its own bar.
        square (bool): Whether panels are as wide as high, with white beside
            the image. Defaults to False.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.

    Raises:
        ValueError: If there is no panel.

    Example:
        >>> image = np.zeros((32, 48, 3), dtype=np.uint8)
        >>> draw_grid([[Panel(image, 'oak')]]).savefig('oak.png', dpi=150)
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if not any(map(len, rows)):
        raise ValueError('draw_grid: there is no image to draw. Give at '
                         'least one row with a panel.')
    length = max(map(len, rows))
    if columns is None:
        columns = max(1, round((len(rows) / length)**0.5))
    if headings:
        rows = [[panel and panel._replace(title=heading)
                 for panel, heading in zip(row, headings)]
                for row in rows[:columns]] + list(rows[columns:])
    blocks = [[*row, *[None] * (1 + length - len(row))] for row in rows]
    lines = [sum(blocks[start:start + columns], [])[:-1]
             for start in range(0, len(blocks), columns)]
    widths = [
        max((max(_LEAST, cell * (1 if square else w / h))
             for h, w in (panel.image.shape[:2] for panel in column if panel)),
            default=_GAP) for column in zip_longest(*lines)
    ]
    size = np.array([sum(widths), cell * len(lines)])
    layout = ConstrainedLayoutEngine(wspace=0, hspace=0)
    figure = Figure(figsize=2 * size + 2, facecolor='white', layout=layout)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(*map(len, (lines, widths)),
                               width_ratios=widths)
    heats = []
    for i, line in enumerate(lines):
        for j, panel in enumerate(line):
            if panel is None:
                continue
            width = widths[j]
            axes = figure.add_subplot(grid[i, j])
            end = next((k for k in range(j + 1, len(line))
                        if line[k] and line[k].title), len(line))
            titled = axes
            if panel.title and end > j + 1:
                titled = figure.add_subplot(
                    grid[i, j:end], frame_on=False, xticks=[], yticks=[])
            titled.set_title(
                _fit(panel.title, sum(widths[j:end]), _TITLE), size=_TITLE,
                loc='left', pad=3, parse_math=False)
            heat = _draw(axes, panel, width / cell, bool(bar))
            if heat is not None:
                heats.append(heat)
            if panel.captions:
                _write(axes, panel.captions, width)
    if bar and heats:
        _add_bar(heats[0], figure.axes, bar, len(lines))
    else:
        for heat in heats:
            _add_bar(heat, heat.axes)
    if title:
        figure.suptitle(_fit(title, size[0], 10), size=10, parse_math=False)
    if note:
        figure.supxlabel(_fit(note, size[0], _CAPTION), size=_CAPTION,
                         color=DARK, parse_math=False)
    # Texts and bars take what they need; the images get their size.
    for _ in range(2):
        layout.execute(figure)
        share = axes.get_position().size * size / (width, cell)
        figure.set_size_inches(figure.get_size_inches() * (1 - share) + size)
    layout.execute(figure)
    figure.set_layout_engine('none')
    return figure


def _draw(axes: 'Axes', panel: Panel, aspect: float, scaled: bool) -> Any:
    """Draw an image in axes of an aspect; return its heat map, if any."""
    height, width = panel.image.shape[:2]
    extent = (0, width, height, 0)
    heat = None
    if panel.heat is None:
        axes.imshow(panel.image, cmap='gray', vmin=0, vmax=1, extent=extent)
    else:
        axes.imshow(panel.image @ _TO_GRAY, cmap='gray', vmin=0, vmax=255,
                    extent=extent)
        low, high = panel.heat.min(), panel.heat.max()
        if scaled:
            low, high = 0, 1
        else:
            # So little is shown as little.
            least = _LEAST_SPAN * max(abs(low), abs(high)) or 0.2
            wider = max(0, least - (high - low)) / 2
            low, high = low - wider, high + wider
        heat = axes.imshow(
            panel.heat, cmap='viridis', alpha=0.62, extent=extent,
            interpolation='bilinear', vmin=low, vmax=high)
    if panel.edge is not None and panel.edge.any() and not panel.edge.all():
        axes.contour(panel.edge, levels=[0.5], colors='white',
                     linewidths=1.1)
    for box in panel.boxes:
        _draw_box(axes, *box)
    beside = max(0, height * aspect - width) / 2
    above = max(0, width / aspect - height) / 2
    axes.set(xlim=(-beside, width + beside), aspect='auto',
             ylim=(height + above, -above))
    axes.xaxis.set_visible(False)
    axes.yaxis.set_visible(False)
    for spine in axes.spines.values():
        spine.set(color=panel.frame, capstyle='butt',
                  linewidth=0.5 if panel.frame == GRAY else 2,
                  linestyle=(0, (2.5, 1.5)) if panel.dashed else '-')
    if panel.sign:
        axes.annotate(
            panel.sign, (1, 1), (-4, -4), xycoords='axes fraction',
            textcoords='offset points', ha='right', va='top', size=9,
            weight='bold', color='white',
            bbox=dict(boxstyle='round,pad=0.18', color=panel.frame))
    return heat


def _draw_box(axes: 'Axes', left: int, top: int, right: int,
              bottom: int) -> None:
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import Normal, withStroke
    # The dark rim makes it stand out from yellow leaves.
    axes.add_patch(Rectangle(
        (left, top), right - left, bottom - top, fill=False, color=YELLOW,
        linewidth=1.5, path_effects=[
            withStroke(linewidth=3, foreground='0.15'), Normal()]))


def _add_bar(heat: Any, axes: Any, label: str = '', lines: int = 1) -> None:
    from matplotlib.ticker import LinearLocator
    bar = heat.figure.colorbar(
        heat, ax=axes, ticks=LinearLocator(3), format='%.3g', fraction=0.05,
        aspect=25 * lines, pad=0.02)
    bar.set_label(label, size=_CAPTION)
    bar.solids.set_alpha(1)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=_CAPTION, length=2, width=0.5, pad=2)
    # Room for any number: figures of the same images have the same size.
    bar.ax.text(1, 0.5, '   0.000000', size=_CAPTION, alpha=0,
                transform=bar.ax.transAxes)


def _write(axes: 'Axes', captions: Sequence[Tuple[str, str]],
           width: float) -> None:
    from matplotlib.offsetbox import AnchoredOffsetbox, TextArea, VPacker
    lines = [
        TextArea(_fit(text, width, _CAPTION),
                 textprops=dict(size=_CAPTION, color=color, parse_math=False))
        for text, color in captions
    ]
    box = AnchoredOffsetbox(
        'upper center', child=VPacker(children=lines, pad=0, sep=2),
        pad=0.2, borderpad=0, frameon=False, bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.transAxes)
    axes.add_artist(box).set_clip_on(False)


def _fit(text: str, width: float, size: float) -> str:
    """Wrap a text to a width in inches, and cut it after three lines."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size)
    letters = min(len(text), int(width * 72 / size * 4))
    while letters > 0:
        lines = textwrap.wrap(text, letters, max_lines=3, placeholder='…')
        longest = max(text_to_path.get_text_width_height_descent(
            line, font, False)[0] for line in lines or [''])
        if longest <= 0.97 * 72 * width:
            return '\n'.join(lines)
        letters -= 1
    return ''
