"""What the demo shows of one image."""
import os
from typing import Dict, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from PIL import Image

from csd_mmpretrain.datasets.eval_images import eval_pipeline
from csd_mmpretrain.datasets.image_files import image_fault
from csd_mmpretrain.visualization.figure_pixels import figure_pixels

from .ssdp_figure import draw_ssdp_figure
from .ssdp_rows import check_pattern_map, ssdp_rows
from .ssdp_views import choose_views, config_view

# The largest image that is decoded: a small file may hold many pixels.
MOST_PIXELS = 50_000_000


class DemoPredictor:
    """Classify an image file and draw what SSDP makes of it.

    Args:
        cfg (Config): The whole config.
        model (BaseModel): Its model with a trained classifier.
        classes (Sequence[str], optional): Names of the classes. Defaults to
            None, their numbers.

    Raises:
        TypeError: If the model has no pattern map to draw.

    Example:
        ::

            scores, pixels = DemoPredictor(cfg, model, classes)('leaf.jpg')
    """

    def __init__(self,
                 cfg: Config,
                 model: BaseModel,
                 classes: Optional[Sequence[str]] = None) -> None:
        self.views = choose_views(config_view(cfg))
        check_pattern_map(model, self.views)
        self.model = model
        self.classes = classes
        self.pipeline = eval_pipeline(cfg)

    @torch.no_grad()
    def __call__(self, path: str) -> Tuple[Dict[str, float], np.ndarray]:
        """Explain an image file.

        Args:
            path (str): The file.

        Returns:
            tuple[dict[str, float], ndarray]: The probability of each class,
            and (H, W, 3), uint8, RGB: image, pattern map, mask and second
            view.

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
        row, = ssdp_rows(
            self.model, [item], self.views, has_classifier=False)
        # The gate looks like the map, and the page shows the file.
        figure = draw_ssdp_figure([row._replace(gate=None, file='')])
        sample, = self.model.test_step(
            {name: [value] for name, value in item.items()})
        scores = sample.pred_score.tolist()
        names = self.classes or [f'class {i}' for i in range(len(scores))]
        return dict(zip(map(str, names), scores)), figure_pixels(figure, 200)


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
