"""Figure of queries and their nearest gallery images."""
from typing import NamedTuple, Sequence

import numpy as np
from matplotlib.figure import Figure

from .rgb_images import on_square

# Told apart by colour, by sign, and in grey by the kind of line.
RIGHT = dict(colour='#1b7a4b', sign='✓', line='-')
WRONG = dict(colour='#c0392b', sign='✗', line=(0, (2.5, 1.5)))
QUERY = '0.25'
# Inches.
GAP, BREAK, EDGE, HEADER, NAME = 0.1, 0.2, 0.1, 0.62, 0.36
LETTER = 0.062


class RetrievedImage(NamedTuple):
    """A gallery image that a query finds.

    Attributes:
        image (ndarray): (H, W, 3), uint8, RGB.
        name (str): Its class.
        cosine (float): Its similarity to the query.
        right (bool): Whether it is of the query's class.
    """

    image: np.ndarray
    name: str
    cosine: float
    right: bool


class RetrievalRow(NamedTuple):
    """A query and what it finds.

    Attributes:
        query (ndarray): (H, W, 3), uint8, RGB.
        name (str): Its class.
        found (Sequence[RetrievedImage]): The nearest first.
    """

    query: np.ndarray
    name: str
    found: Sequence[RetrievedImage]


def draw_retrieval(rows: Sequence[RetrievalRow],
                   title: str,
                   cell: float = 1.15) -> Figure:
    """Draw a row per query: the query, and what it finds.

    An image of the query's class has a full frame and a tick, another one a
    dashed frame and a cross.

    Args:
        rows (Sequence[RetrievalRow]): The queries.
        title (str): Above them, with the protocol's name.
        cell (float): Width and height of an image in inches. Defaults to
            1.15.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.

    Raises:
        ValueError: If there is no row.
    """
    if not rows:
        raise ValueError('draw_retrieval: there is no query to draw.')
    most = max(len(row.found) for row in rows)
    second = EDGE + cell + BREAK
    width = second + most * (cell + GAP) - GAP + EDGE
    height = HEADER + len(rows) * (cell + NAME) + EDGE
    figure = Figure(figsize=(width, height), facecolor='white')

    def write(text: str, x: float, y: float, **options: object) -> None:
        figure.text(
            x / width, 1 - y / height, text, parse_math=False, va='center',
            **options)

    def place(image: np.ndarray, name: str, x: float, y: float, colour: str,
              line: object, sign: str = '') -> None:
        axes = figure.add_axes(
            (x / width, 1 - (y + cell) / height, cell / width, cell / height))
        axes.imshow(on_square(image), interpolation='antialiased')
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(
                color=colour, linewidth=2.2, linestyle=line, capstyle='butt')
        if sign:
            axes.text(
                0.97, 0.97, sign, transform=axes.transAxes, ha='right',
                va='top', size=9, weight='bold', color='white',
                bbox=dict(boxstyle='round,pad=0.18', color=colour))
        write(_short(name, cell), x + cell / 2, y + cell + 0.1, size=6.5,
              ha='center')

    write(title, EDGE, 0.18, size=9, weight='bold')
    write('query', EDGE + cell / 2, HEADER - 0.13, size=8, ha='center')
    for rank in range(most):
        write(f'{rank + 1}', second + rank * (cell + GAP) + cell / 2,
              HEADER - 0.13, size=8, ha='center')
    for i, row in enumerate(rows):
        y = HEADER + i * (cell + NAME)
        place(row.query, row.name, EDGE, y, QUERY, '-')
        for rank, item in enumerate(row.found):
            x = second + rank * (cell + GAP)
            place(item.image, item.name, x, y,
                  **(RIGHT if item.right else WRONG))
            write(f'{item.cosine:.3f}', x + cell / 2, y + cell + 0.23,
                  size=6.5, ha='center', color='0.35')
    return figure


def _short(name: str, width: float) -> str:
    letters = int(width / LETTER)
    return name if len(name) <= letters else name[:letters - 1] + '…'
