"""A figure as an image."""
from typing import TYPE_CHECKING

import numpy as np
from mmengine.visualization.utils import img_from_canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_pixels(figure: 'Figure', dpi: int = 100) -> np.ndarray:
    """Render a figure.

    Args:
        figure (Figure): Any figure of matplotlib.
        dpi (int): Pixels per inch. Defaults to 100.

    Returns:
        ndarray: (H, W, 3), uint8, RGB.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    return img_from_canvas(FigureCanvasAgg(figure))
