"""Writing figures of many rows, page by page."""
import os
from typing import Any, Callable, List, Sequence

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure


def save_pages(draw: Callable[[Sequence[Any]], Figure],
               rows: Sequence[Any],
               per_page: int,
               out: str,
               dpi: int = 150) -> List[str]:
    """Draw rows on as many pages as they need, evenly filled.

    Args:
        draw (Callable): Makes a figure of some of the rows.
        rows (Sequence): What to draw, at least one.
        per_page (int): Rows on a page at most.
        out (str): A .pdf, one file of all pages; or a .png, ``name.png`` or
            ``name_1.png``, ``name_2.png``, ... Its folder is made.
        dpi (int): Pixels per inch. Defaults to 150.

    Returns:
        list[str]: The files.

    Raises:
        ValueError: If ``out`` ends in neither, or there is no row.

    Example:
        >>> from matplotlib.figure import Figure
        >>> save_pages(lambda rows: Figure(), range(5), 3, 'rows.png')
        ['rows_1.png', 'rows_2.png']
    """
    name, suffix = os.path.splitext(out)
    if suffix.lower() not in ('.png', '.pdf'):
        raise ValueError(f'{out!r} as the file of a figure: the name must end '
                         'in .png or .pdf.')
    if not len(rows):
        raise ValueError(f'{out!r} as the file of a figure: there is no row '
                         'to draw. Give at least one.')
    pages = -(-len(rows) // per_page)
    starts = [len(rows) * page // pages for page in range(pages + 1)]
    figures = (draw(rows[a:b]) for a, b in zip(starts, starts[1:]))
    os.makedirs(os.path.dirname(out) or '.', exist_ok=True)
    if suffix.lower() == '.pdf':
        with PdfPages(out) as file:
            for figure in figures:
                file.savefig(figure, dpi=dpi)
        return [out]
    files = [out] if pages == 1 else [
        f'{name}_{page + 1}{suffix}' for page in range(pages)
    ]
    for file, figure in zip(files, figures):
        figure.savefig(file, dpi=dpi)
    return files
