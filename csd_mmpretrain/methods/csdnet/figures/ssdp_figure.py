"""Figure of what SSDP sees: image, pattern map, gate, mask, second views."""
from typing import TYPE_CHECKING, Optional, Sequence

from csd_mmpretrain.visualization.image_grid import (
    DARK,
    GRAY,
    GREEN,
    Panel,
    draw_grid,
)

from .ssdp_rows import SSDPRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FORMULAS = dict(
    keep=':  I ⊙ M', erase=':  I ⊙ (1 − M)', crop=':  box of M',
    soft=':  I ⊙ P, scaled')


def draw_ssdp_figure(rows: Sequence[SSDPRow],
                     classes: Optional[Sequence[str]] = None,
                     cell: float = 2.2) -> 'Figure':
    """Draw one row per image: I, P, gate, M and every second view I'.

    Maps lie over the image; the white line on them is the edge of M. Below
    the image is the name of its file, and below it and the second views are
    the best predictions, with the true class in green.

    Args:
        rows (Sequence[SSDPRow]): Of one model and the same views.
        classes (Sequence[str], optional): Names of the classes. Defaults to
            None, their numbers.
        cell (float): Height of an image in inches. Defaults to 2.2.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.

    Raises:
        ValueError: If there is no row.

    Example:
        >>> import numpy as np
        >>> image = np.zeros((32, 32, 3), dtype=np.uint8)
        >>> row = SSDPRow(image, np.arange(16.).reshape(4, 4), None,
        ...               np.tri(32, dtype=bool), dict(keep=image))
        >>> draw_ssdp_figure([row]).savefig('ssdp.png', dpi=100)
    """
    table = [_panels(row, classes) for row in rows]
    headings = [panel.title for panel in table[0]] if table else []
    return draw_grid(
        [[panel._replace(title='') for panel in panels] for panels in table],
        headings, cell=cell)


def _panels(row: SSDPRow, classes: Optional[Sequence[str]]) -> list:

    def name(label: int) -> str:
        return f'class {label}' if classes is None else str(classes[label])

    best = [[(f'{score:4.0%}  {name(label)}',
              GREEN if label == row.gt_label else DARK)
             for label, score in prediction]
            for prediction in row.predictions or []]
    best = best or [[]] * (1 + len(row.seconds))
    true = [] if row.gt_label is None else [
        (f'true: {name(row.gt_label)}', GREEN)]
    file = [(row.file, GRAY)] if row.file else []
    panels = [Panel(row.image, 'image I', file + true + best[0])]
    edge = None
    if row.mask is not None and row.mask.dtype == bool:
        edge = row.mask
    for title, heat in (('pattern map P', row.pattern), ('gate', row.gate)):
        if heat is not None:
            panels.append(Panel(row.image, title, heat=heat, edge=edge))
    if row.mask is not None:
        panels.append(Panel(row.mask, 'mask M'))
    panels += [Panel(second, f'I′  {view}{_FORMULAS.get(view, "")}', lines)
               for (view, second), lines in zip(row.seconds.items(), best[1:])]
    return panels
