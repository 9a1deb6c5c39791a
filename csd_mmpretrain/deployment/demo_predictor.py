"""What the demo tells of one image."""
import os
from typing import TYPE_CHECKING, Callable, Optional, Sequence

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from PIL import Image

from csd_mmpretrain.datasets.eval_images import eval_pipeline
from csd_mmpretrain.datasets.image_files import image_fault
from csd_mmpretrain.visualization.figure_pixels import figure_pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The largest image that is decoded: a small file may hold many pixels.
MOST_PIXELS = 50_000_000


class DemoPredictor:
    """Classify an image file, and draw figures of it.

    Args:
        cfg (Config): The whole config.
        model (BaseModel): Its model with a trained classifier.
        draw (Sequence[Callable]): Each takes what the test pipeline returns
            for an image, and returns a figure.
        classes (Sequence[str], optional): Names of the classes. Defaults to
            None, their numbers.

    Example:
        ::

            predict = DemoPredictor(cfg, model, [DemoFigure(cfg, model)])
            scores, pixels = predict('leaf.jpg')
    """

    def __init__(self,
                 cfg: Config,
                 model: BaseModel,
                 draw: Sequence[Callable[[dict], 'Figure']],
                 classes: Optional[Sequence[str]] = None) -> None:
        self.model = model
        self.draw = draw
        self.classes = classes
        self.pipeline = eval_pipeline(cfg)

    def __call__(self, path: str) -> tuple:
        """Explain an image file.

        Args:
            path (str): The file.

        Returns:
            tuple: The probability of each class, dict[str, float]; and of
            each figure (H, W, 3), uint8, RGB.

        Raises:
            ValueError: If it is not an image that loads; the message is for
                the person who chose it.
        """
        fault = _size_fault(path) or image_fault(path, decode=True)
        try:
            item = fault or self.pipeline(dict(img_path=path))
        except Exception:
            fault = 'not an image'
        if fault:
            raise ValueError(f'{os.path.basename(path)}: {fault}. Choose a '
                             'whole image file, such as JPEG or PNG.')
        with torch.no_grad():
            sample, = self.model.test_step(
                {name: [value] for name, value in item.items()})
        scores = sample.pred_score.tolist()
        names = self.classes or [f'class {i}' for i in range(len(scores))]
        return (dict(zip(map(str, names), scores)),
                *(figure_pixels(draw(item), 200) for draw in self.draw))


def _size_fault(path: str) -> Optional[str]:
    """Tell if an image has too many pixels for a page that others use."""
    try:
        with Image.open(path) as image:
            pixels = image.width * image.height
    except Exception:
        return None
    if pixels <= MOST_PIXELS:
        return None
    return f'too large ({pixels} pixels, the limit is {MOST_PIXELS})'
