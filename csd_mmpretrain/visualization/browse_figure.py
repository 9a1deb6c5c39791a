"""Images on their way through a pipeline, one or a sheet of them."""
from typing import TYPE_CHECKING, List, NamedTuple, Sequence

from .browse_steps import Step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches.
GAP, EDGE, CAPTION, NAME = 0.1, 0.08, 0.24, 0.17
LEAST_WIDTH = 1.6
LETTER = 0.068


class Entry(NamedTuple):
    """An image of a sheet.

    Attributes:
        caption (str): Stands above it.
        file (str): Stands beside the caption, where there is room.
        panels (list[Step]): Side by side, each with its name and size below.
    """

    caption: str
    file: str
    panels: List[Step]


def draw_browse_figure(entries: Sequence[Entry],
                       columns: int = 1,
                       cell: float = 2.2) -> 'Figure':
    """Draw images with their captions.

    Args:
        entries (Sequence[Entry]): The images, in reading order.
        columns (int): Entries in a line. Defaults to 1.
        cell (float): Height of a panel in inches. Defaults to 2.2.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.

    Raises:
        ValueError: If there is no entry.

    Example:
        >>> import numpy as np
        >>> step = Step('Original', np.zeros((32, 48, 3), dtype=np.uint8))
        >>> entry = Entry('cat', '1.jpg', [step])
        >>> draw_browse_figure([entry]).savefig('cat.png')
    """
    from matplotlib.figure import Figure

    if not entries:
        raise ValueError('draw_browse_figure: there is no image to draw.')
    columns = min(columns, len(entries))
    lines = -(-len(entries) // columns)
    room = max(max(_width(entry, cell) for entry in entries), LEAST_WIDTH)
    line = CAPTION + cell + NAME + GAP
    width = 2 * EDGE + columns * (room + GAP) - GAP
    height = 2 * EDGE + lines * line - GAP
    figure = Figure(figsize=(width, height), facecolor='white')

    def write(left: float, top: float, text: str, limit: float, size: float,
              more: str = '', **kwargs) -> None:
        most = max(4, int(limit / (LETTER * size / 8)))
        if len(text + more) <= most:
            text += more
        elif len(text) > most:
            text = text[:most - 1] + '…'
        figure.text(left / width, 1 - top / height, text, size=size,
                    va='center', parse_math=False, **kwargs)

    for index, entry in enumerate(entries):
        left = EDGE + index % columns * (room + GAP)
        top = EDGE + index // columns * line
        write(left, top + CAPTION / 2, entry.caption, room, 8,
              f'   {entry.file}')
        top += CAPTION
        for panel in entry.panels:
            rows, cols = panel.image.shape[:2]
            wide = cell * cols / rows
            ax = figure.add_axes((left / width, 1 - (top + cell) / height,
                                  wide / width, cell / height))
            ax.imshow(panel.image, aspect='auto')
            ax.set_axis_off()
            write(left, top + cell + NAME / 2,
                  f'{panel.name}  {cols}×{rows}', wide, 6.5, color='0.35')
            left += wide + GAP
    return figure


def _width(entry: Entry, cell: float) -> float:
    widths = [cell * panel.image.shape[1] / panel.image.shape[0] + GAP
              for panel in entry.panels]
    return sum(widths) - GAP
