"""Figure of the worst pairs of classes, with their images side by side."""
from typing import NamedTuple, Sequence

import numpy as np
from matplotlib.figure import Figure

from .rgb_images import on_square

WRONG, OTHER = '#c0392b', '#2c5f8a'
# Inches.
GAP, BREAK, EDGE, HEADER, CAPTION, NOTE = 0.06, 0.3, 0.1, 0.3, 0.42, 0.17
LETTER = 0.068


class PairImages(NamedTuple):
    """A pair of classes with images of both.

    Attributes:
        title (str): What is confused, and how often.
        taken (list[ndarray]): (H, W, 3) each, uint8, RGB: images of the true
            class that are taken for the other.
        notes (list[str]): One below each of them: the scores of both
            classes.
        others (list[ndarray]): Images of the other class.
    """

    title: str
    taken: Sequence[np.ndarray]
    notes: Sequence[str]
    others: Sequence[np.ndarray]


def draw_pairs(rows: Sequence[PairImages], cell: float = 1.15) -> Figure:
    """Draw a row per pair: confused images, and those they are taken for.

    Args:
        rows (Sequence[PairImages]): The pairs.
        cell (float): Width and height of an image in inches. Defaults to
            1.15.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.

    Raises:
        ValueError: If there is no pair.
    """
    if not rows:
        raise ValueError('draw_pairs: there is no pair to draw.')
    left = max(len(row.taken) for row in rows)
    right = max(len(row.others) for row in rows)
    second = EDGE + left * (cell + GAP) + BREAK
    longest = max(len(row.title) for row in rows)
    width = max(second + right * (cell + GAP) - GAP,
                EDGE + LETTER * longest) + EDGE
    height = HEADER + len(rows) * (CAPTION + cell + NOTE) + NOTE + EDGE
    figure = Figure(figsize=(width, height), facecolor='white')

    def place(image: np.ndarray, x: float, y: float, colour: str) -> None:
        axes = figure.add_axes(
            (x / width, 1 - (y + cell) / height, cell / width, cell / height))
        axes.imshow(on_square(image), interpolation='antialiased')
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=colour, linewidth=1.6)

    def write(text: str, x: float, y: float, **options: object) -> None:
        figure.text(
            x / width, 1 - y / height, text, parse_math=False, va='center',
            **options)

    write('true class, taken for the other', EDGE, 0.6 * HEADER, size=9,
          color=WRONG, weight='bold')
    write('images of the other class', second, 0.6 * HEADER, size=9,
          color=OTHER, weight='bold')
    y = HEADER
    for row in rows:
        write(row.title, EDGE, y + 0.55 * CAPTION, size=9)
        y += CAPTION
        for i, (image, note) in enumerate(zip(row.taken, row.notes)):
            x = EDGE + i * (cell + GAP)
            place(image, x, y, WRONG)
            write(note, x + cell / 2, y + cell + 0.6 * NOTE, size=7,
                  ha='center')
        for i, image in enumerate(row.others):
            place(image, second + i * (cell + GAP), y, OTHER)
        y += cell + NOTE
    write('below an image: score of the other class against that of its own',
          EDGE, y + 0.8 * NOTE, size=6.5, color='0.35')
    return figure
