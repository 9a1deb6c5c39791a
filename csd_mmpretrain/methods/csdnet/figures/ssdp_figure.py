"""Figure of what SSDP sees: image, pattern map, gate, mask, second views."""
from typing import (
    TYPE_CHECKING,
    List,
    NamedTuple,
    Optional,
    Sequence,
)

import numpy as np

from .ssdp_rows import Prediction, SSDPRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

HEADINGS = dict(
    image='image  $I$',
    pattern='pattern map  $P$',
    gate='gate',
    mask='mask  $M$')
FORMULAS = dict(
    keep=r'$I \odot M$',
    erase=r'$I \odot (1 - M)$',
    crop='box of $M$',
    soft=r'$I \odot P$, scaled')
MAPS = ('pattern', 'gate')
COLOURS = 'viridis'
# Inches.
GAP, BAR, EDGE, HEADER, TITLE, LINE = 0.08, 0.46, 0.06, 0.34, 0.26, 0.135
GREY = np.array([0.299, 0.587, 0.114])
TRUE = '#1a7f37'


class _Panel(NamedTuple):
    """A column of a row: what it shows, and what stands below it."""

    heading: str
    array: np.ndarray
    is_map: bool = False
    prediction: Prediction = ()


def draw_ssdp_figure(rows: Sequence[SSDPRow],
                     classes: Optional[Sequence[str]] = None,
                     cell: float = 2.2) -> 'Figure':
    """Draw one row per image: I, P, gate, M and every second view I'.

    Maps lie over the image, with a colour bar; the white line on them is the
    edge of M. Columns that the rows do not have are left out. The class is
    written above a row, the best predictions below the image and below each
    second view, the true class in green. Nothing of pyplot's state is
    touched.

    Args:
        rows (Sequence[SSDPRow]): All with the same columns.
        classes (Sequence[str], optional): Names of the classes; numbers
            where there are none. Defaults to None.
        cell (float): Height of an image in inches. Defaults to 2.2.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``, as PNG or PDF.

    Raises:
        ValueError: If there is no row, or the rows have different columns.

    Example:
        >>> import numpy as np
        >>> image = np.zeros((32, 32, 3), dtype=np.uint8)
        >>> row = SSDPRow(image, np.arange(16.).reshape(4, 4), None,
        ...               np.tri(32, dtype=bool), dict(keep=image))
        >>> draw_ssdp_figure([row]).savefig('ssdp.png', dpi=100)
    """
    from matplotlib.figure import Figure

    table = [_panels(row) for row in rows]
    headings = [[panel.heading for panel in panels] for panels in table]
    if not table or any(found != headings[0] for found in headings):
        raise ValueError(
            'draw_ssdp_figure: rows must all have the same columns, and be '
            f'at least one, but their columns are {headings}.')

    lines = max(len(panel.prediction) for panels in table for panel in panels)
    above = TITLE if any(row.gt_label is not None for row in rows) else GAP
    below = LINE * lines + (GAP if lines else 0)
    widest = max(
        cell * row.image.shape[1] / row.image.shape[0] for row in rows)
    bars = sum(panel.is_map for panel in table[0])
    width = 2 * EDGE + len(table[0]) * (widest + GAP) - GAP + bars * BAR
    height = HEADER + len(rows) * (above + cell + below) + EDGE
    figure = Figure(figsize=(width, height), facecolor='white')

    def add_axes(left: float, top: float, width_: float) -> 'Axes':
        return figure.add_axes((left / width, 1 - (top + cell) / height,
                                width_ / width, cell / height))

    def write(left: float, top: float, text: str, **kwargs) -> None:
        figure.text(left / width, 1 - top / height, text, **kwargs)

    top = HEADER
    for i, (row, panels) in enumerate(zip(rows, table)):
        if row.gt_label is not None:
            write(EDGE, top + 0.55 * above,
                  f'true: {_name(row.gt_label, classes)}', size=9,
                  va='center', parse_math=False)
        top += above
        left = EDGE
        room = cell * row.image.shape[1] / row.image.shape[0]
        for panel in panels:
            ax = add_axes(left, top, room)
            heat = _draw_panel(ax, panel, row)
            if i == 0:
                write(left + room / 2, 0.5 * HEADER, panel.heading, size=11,
                      ha='center', va='center')
            for line, (label, score) in enumerate(panel.prediction):
                write(left, top + cell + LINE * (line + 0.75),
                      _shorten(f'{score:4.0%}  {_name(label, classes)}', room),
                      size=7, va='center', parse_math=False,
                      color=TRUE if label == row.gt_label else '0.25')
            left += room + GAP
            if panel.is_map:
                _draw_bar(add_axes(left - GAP / 2, top, 0.07), heat)
                left += BAR
        top += cell + below
    return figure


def _panels(row: SSDPRow) -> List[_Panel]:
    first, *others = row.predictions or [()] * (1 + len(row.seconds))
    panels = [_Panel(HEADINGS['image'], row.image, prediction=first)]
    for name in ('pattern', 'gate', 'mask'):
        array = getattr(row, name)
        if array is not None:
            panels.append(_Panel(HEADINGS[name], array, name in MAPS))
    for (name, second), best in zip(row.seconds.items(), others):
        formula = f':  {FORMULAS[name]}' if name in FORMULAS else ''
        panels.append(_Panel(f"$I\\,'$  {name}{formula}", second,
                             prediction=best))
    return panels


def _draw_panel(ax: 'Axes', panel: _Panel,
                row: SSDPRow) -> Optional['AxesImage']:
    height, width = row.image.shape[:2]
    frame = dict(extent=(0, width, height, 0))
    drawn = None
    if panel.is_map:
        ax.imshow(row.image @ GREY, cmap='gray', vmin=0, vmax=255, **frame)
        drawn = ax.imshow(panel.array, cmap=COLOURS, alpha=0.62,
                          interpolation='bilinear', **frame)
        mask = row.mask
        if (mask is not None and mask.dtype == bool and mask.any()
                and not mask.all()):
            ax.contour(mask, levels=[0.5], colors='white', linewidths=1.1)
    elif panel.array.ndim == 2:
        ax.imshow(panel.array.astype(float), cmap='gray', vmin=0, vmax=1,
                  **frame)
    else:
        ax.imshow(panel.array, **frame)
    ax.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    for spine in ax.spines.values():
        spine.set(linewidth=0.5, color='0.55')
    return drawn


def _draw_bar(bar: 'Axes', heat: 'AxesImage') -> None:
    colour_bar = bar.figure.colorbar(heat, cax=bar)
    colour_bar.solids.set_alpha(1)
    colour_bar.outline.set_visible(False)
    low, high = heat.get_clim()
    if high > low:
        ticks = (low, (low + high) / 2, high)
        digits = 2
        while digits < 5 and len({f'{t:.{digits}g}' for t in ticks}) < 3:
            digits += 1
        colour_bar.set_ticks(ticks,
                             labels=[f'{t:.{digits}g}' for t in ticks])
    bar.tick_params(labelsize=6.5, length=2, width=0.5, pad=2)


def _name(label: int, classes: Optional[Sequence[str]]) -> str:
    return f'class {label}' if classes is None else str(classes[label])


def _shorten(text: str, inches: float) -> str:
    """Cut a line of seven points that would outgrow a panel."""
    room = int(inches / 0.058)
    return text if len(text) <= room else text[:room - 1] + '…'
