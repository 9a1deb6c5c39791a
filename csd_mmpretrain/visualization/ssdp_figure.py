"""Figure of what SSDP sees: image, pattern map, mask and second view."""
from typing import Optional, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HEADINGS = ('image  $I$', 'pattern map  $P$', 'mask  $M$',
            "second view  $I\\,'$")
COLOURS = 'viridis'
# Inches.
GAP, BAR, EDGE, HEADER, CAPTION = 0.08, 0.42, 0.06, 0.34, 0.26
GREY = np.array([0.299, 0.587, 0.114])


def draw_ssdp_figure(images: Sequence[np.ndarray],
                     pattern_maps: Sequence[np.ndarray],
                     masks: Sequence[np.ndarray],
                     second_views: Sequence[np.ndarray],
                     titles: Optional[Sequence[str]] = None,
                     cell: float = 2.2) -> Figure:
    """Draw one row per image: I, P over I with its colour bar, M, I'.

    The white line on P is the edge of M. Nothing of pyplot's state is
    touched.

    Args:
        images (Sequence[ndarray]): (H, W, 3) each, uint8, RGB.
        pattern_maps (Sequence[ndarray]): (h, w) each, floating.
        masks (Sequence[ndarray]): (H, W) each, bool, or floating in [0, 1]
            for a soft mask.
        second_views (Sequence[ndarray]): (H, W, 3) each, uint8, RGB.
        titles (Sequence[str], optional): A caption above each row. Defaults
            to None.
        cell (float): Height of an image in inches. Defaults to 2.2.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``, as PNG or PDF.

    Raises:
        ValueError: If there is no row, or the lists differ in length.

    Example:
        >>> import numpy as np
        >>> image = np.zeros((32, 32, 3), dtype=np.uint8)
        >>> pattern = np.arange(16.).reshape(4, 4)
        >>> mask = np.tri(32, dtype=bool)
        >>> draw_ssdp_figure([image], [pattern], [mask], [image]).savefig(
        ...     'ssdp.png', dpi=100)
    """
    rows = len(images)
    given = [pattern_maps, masks, second_views]
    given += [titles] if titles is not None else []
    if rows == 0 or any(len(values) != rows for values in given):
        counts = ', '.join(str(len(values)) for values in [images] + given)
        raise ValueError('draw_ssdp_figure: images, pattern maps, masks, '
                         'second views and titles must be as many, and at '
                         f'least one, but their numbers are {counts}.')

    caption = CAPTION if titles is not None else GAP
    widths = [cell * image.shape[1] / image.shape[0] for image in images]
    width = 2 * EDGE + 4 * max(widths) + 3 * GAP + BAR
    height = HEADER + rows * (cell + caption) + EDGE
    figure = Figure(figsize=(width, height), facecolor='white')

    def add_axes(left: float, top: float, width_: float) -> Axes:
        return figure.add_axes((left / width, 1 - (top + cell) / height,
                                width_ / width, cell / height))

    top = HEADER
    for i in range(rows):
        if titles is not None:
            figure.text(
                EDGE / width,
                1 - (top + 0.55 * caption) / height,
                titles[i],
                size=9,
                va='center',
                parse_math=False)
        top += caption
        left = EDGE
        axes = []
        for column in range(4):
            axes.append(add_axes(left, top, widths[i]))
            left += widths[i] + GAP
            if column == 1:
                bar = add_axes(left - GAP / 2, top, 0.07)
                left += BAR
        _draw_row(axes, bar, images[i], pattern_maps[i], masks[i],
                  second_views[i])
        if i == 0:
            for ax, heading in zip(axes, HEADINGS):
                figure.text(
                    ax.get_position().x0 + widths[0] / 2 / width,
                    1 - 0.5 * HEADER / height,
                    heading,
                    size=11,
                    ha='center',
                    va='center')
        top += cell
    return figure


def _draw_row(axes: Sequence[Axes], bar: Axes, image: np.ndarray,
              pattern: np.ndarray, mask: np.ndarray,
              second: np.ndarray) -> None:
    height, width = image.shape[:2]
    extent = (0, width, height, 0)
    axes[0].imshow(image, extent=extent)
    grey = image @ GREY
    axes[1].imshow(grey, cmap='gray', vmin=0, vmax=255, extent=extent)
    heat = axes[1].imshow(
        pattern,
        cmap=COLOURS,
        alpha=0.62,
        interpolation='bilinear',
        extent=extent)
    if mask.dtype == bool and mask.any() and not mask.all():
        axes[1].contour(mask, levels=[0.5], colors='white', linewidths=1.1)
    axes[2].imshow(
        mask.astype(float), cmap='gray', vmin=0, vmax=1, extent=extent)
    axes[3].imshow(second, extent=extent)
    for ax in axes:
        ax.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
        for spine in ax.spines.values():
            spine.set(linewidth=0.5, color='0.55')

    colour_bar = bar.figure.colorbar(heat, cax=bar)
    colour_bar.solids.set_alpha(1)
    colour_bar.outline.set_visible(False)
    low, high = heat.get_clim()
    if high > low:
        ticks = (low, (low + high) / 2, high)
        colour_bar.set_ticks(ticks, labels=[f'{t:.2g}' for t in ticks])
    bar.tick_params(labelsize=6.5, length=2, width=0.5, pad=2)
