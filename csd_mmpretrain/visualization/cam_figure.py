"""Figure of class activation maps beside their images."""
from typing import List, NamedTuple, Optional, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.text import Text

from .cam import CAMRow

COLOURS = 'viridis'
GREY = np.array([0.299, 0.587, 0.114])
# Inches.
GAP, BLOCK_GAP, EDGE, LINE, HEADER, BAR, BAR_TEXT = (0.06, 0.22, 0.06, 0.15,
                                                     0.28, 0.09, 0.42)
SIZE, SMALLEST = 8, 4.5


class CAMPanel(NamedTuple):
    """A map to draw, and what stands above it.

    Attributes:
        image (ndarray): (H, W, 3), uint8, RGB, as the model gets it.
        cam (ndarray): (H, W), floating in [0, 1].
        lines (list[str]): Its title.
    """

    image: np.ndarray
    cam: np.ndarray
    lines: List[str]


def cam_panels(row: CAMRow,
               classes: Optional[Sequence[str]] = None) -> List[CAMPanel]:
    """Title the maps of an image with target and predicted class.

    Args:
        row (CAMRow): The image with its maps.
        classes (Sequence[str], optional): Names; numbers where there are
            none. Defaults to None.

    Returns:
        list[CAMPanel]: One per map.
    """

    def describe(label: int) -> str:
        name = f'class {label}' if classes is None else str(classes[label])
        return f'{name} ({row.scores[label]:.0%})'

    predicted = int(row.scores.argmax())
    panels = []
    for cam, target in zip(row.cams, row.targets):
        if target == predicted:
            lines = [f'predicted: {describe(predicted)}']
        else:
            lines = [f'target: {describe(target)}',
                     f'predicted: {describe(predicted)}']
        panels.append(CAMPanel(row.image, cam, lines))
    return panels


def draw_cam_figure(images: Sequence[np.ndarray],
                    panels: Sequence[Sequence[CAMPanel]],
                    names: Optional[Sequence[str]] = None,
                    headings: Optional[Sequence[str]] = None,
                    columns: Optional[int] = None,
                    cell: float = 2.0,
                    label: str = 'CAM, scaled per map') -> Figure:
    """Draw a grid of blocks: an image, and its maps over it, side by side.

    Nothing of pyplot's state is touched.

    Args:
        images (Sequence[ndarray]): (H, W, 3) each, uint8, RGB.
        panels (Sequence[Sequence[CAMPanel]]): The maps of each image, as
            many for all.
        names (Sequence[str], optional): A title for each image. Defaults to
            None.
        headings (Sequence[str], optional): What is above the image and each
            map in the first row, such as ``['image', 'CSDNet']``. Defaults
            to None.
        columns (int, optional): Blocks in a row. Defaults to None, as many
            as make the figure about as wide as high.
        cell (float): Height of an image in inches. Defaults to 2.
        label (str): What the colours are. Defaults to ``'CAM, scaled per
            map'``.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.

    Raises:
        ValueError: If there is no image, or the numbers differ.

    Example:
        >>> import numpy as np
        >>> image = np.zeros((32, 32, 3), dtype=np.uint8)
        >>> panel = CAMPanel(image, np.tri(32), ['predicted: maple (90%)'])
        >>> draw_cam_figure([image], [[panel]]).savefig('cam.png', dpi=150)
    """
    counts = {len(row) for row in panels}
    if not images or len(images) != len(panels) or len(counts) != 1 or (
            names is not None and len(names) != len(images)):
        raise ValueError(
            'draw_cam_figure: one row of panels per image is expected, all '
            f'of one length, but there are {len(images)} images and rows of '
            f'{[len(row) for row in panels]} panels.')
    cells = 1 + counts.pop()
    room = max(cell * image.shape[1] / image.shape[0] for image in images)
    lines = max(len(panel.lines) for row in panels for panel in row)
    lines = max(lines, 1 if names is not None else 0)
    block = cells * (room + GAP) - GAP
    tall = cell + LINE * lines + 2 * GAP
    if columns is None:
        columns = max(1, round((len(images) * tall / block)**0.5))
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    above = HEADER if headings is not None else 0
    width = (2 * EDGE + columns * (block + BLOCK_GAP) - BLOCK_GAP + 2 * GAP +
             BAR + BAR_TEXT)
    height = above + rows * tall + EDGE
    figure = Figure(figsize=(width, height), facecolor='white')
    FigureCanvasAgg(figure)

    def write(left: float, top: float, text: str, size: float) -> Text:
        return figure.text((left + room / 2) / width, 1 - top / height, text,
                           size=size, ha='center', va='center',
                           parse_math=False)

    texts = []
    for i, (image, row) in enumerate(zip(images, panels)):
        left = EDGE + i % columns * (block + BLOCK_GAP)
        top = above + i // columns * tall + LINE * lines + GAP
        titles = [[names[i]] if names is not None else []]
        titles += [panel.lines for panel in row]
        for column, title in enumerate(titles):
            x = left + column * (room + GAP)
            shown = cell * image.shape[1] / image.shape[0]
            ax = figure.add_axes(
                ((x + (room - shown) / 2) / width, 1 - (top + cell) / height,
                 shown / width, cell / height))
            _draw(ax, image, row[column - 1] if column else None)
            for number, line in enumerate(reversed(title)):
                texts.append(
                    write(x, top - LINE * (number + 0.55), line, SIZE))
            if headings is not None and i < columns:
                texts.append(
                    write(x, 0.55 * HEADER, headings[column], SIZE + 2))
    for text in texts:
        _fit(text, room)

    bar = figure.add_axes(
        (1 - (BAR + BAR_TEXT) / width,
         1 - (above + tall - GAP) / height, BAR / width, cell / height))
    colour_bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), COLOURS), cax=bar,
        ticks=(0, 0.5, 1))
    colour_bar.outline.set_visible(False)
    colour_bar.set_label(label, size=7, labelpad=2)
    bar.tick_params(labelsize=7, length=2, width=0.5, pad=2)
    return figure


def _draw(ax: Axes, image: np.ndarray, panel: Optional[CAMPanel]) -> None:
    height, width = image.shape[:2]
    frame = dict(extent=(0, width, height, 0))
    if panel is None:
        ax.imshow(image, **frame)
    else:
        ax.imshow(panel.image @ GREY, cmap='gray', vmin=0, vmax=255, **frame)
        ax.imshow(panel.cam, cmap=COLOURS, vmin=0, vmax=1, alpha=0.62,
                  **frame)
    ax.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    for spine in ax.spines.values():
        spine.set(linewidth=0.5, color='0.55')


def _fit(text: Text, room: float) -> None:
    """Make a title as small as its column, and cut what is longer still."""
    wide = text.get_window_extent().width / text.figure.dpi
    if wide <= room:
        return
    size = max(SMALLEST, text.get_size() * room / wide)
    share = text.get_size() * room / wide / size
    text.set_size(size)
    if share < 1:
        content = text.get_text()
        text.set_text(content[:max(1, int(len(content) * share) - 1)] + '…')
