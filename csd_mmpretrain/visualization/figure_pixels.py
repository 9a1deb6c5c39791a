"""A figure as an image."""
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_pixels(figure: 'Figure', dpi: int = 100) -> np.ndarray:
    """Render a figure.

    Args:
        figure (Figure): Any figure of matplotlib.
        dpi (int): Pixels per inch. Defaults to 100.

    Returns:
        ndarray: (H, W, 3), uint8, RGB.

    Example:
        >>> from matplotlib.figure import Figure
        >>> figure_pixels(Figure(figsize=(2, 1)), dpi=50).shape
        (50, 100, 3)
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
