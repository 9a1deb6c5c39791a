"""What the demo shows of one image."""
import io
import os
from typing import Dict, NamedTuple, Optional, Sequence

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from PIL import Image

from csd_mmpretrain.datasets.eval_images import eval_pipeline
from csd_mmpretrain.datasets.image_files import image_fault

from .ssdp_figure import draw_ssdp_figure
from .ssdp_rows import check_pattern_map, ssdp_rows
from .ssdp_views import choose_views, config_view

DPI = 200


class DemoPrediction(NamedTuple):
    """One image as the demo shows it.

    Attributes:
        scores (dict[str, float]): The probability of each class.
        figure (Image): Image, pattern map, mask and second view, RGB.
    """

    scores: Dict[str, float]
    figure: Image.Image


class DemoPredictor:
    """A model with all that it needs to explain a file.

    Args:
        cfg (Config): The whole config.
        model (BaseModel): Its model with a trained classifier.
        classes (Sequence[str], optional): Names of the classes. Defaults to
            None, their numbers.

    Raises:
        TypeError: If the model has no pattern map to draw.

    Example:
        ::

            predict = DemoPredictor(cfg, model, classes)
            predict('leaf.jpg').figure.save('figure.png')
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
    def __call__(self, path: str) -> DemoPrediction:
        """Classify an image file and draw what SSDP makes of it.

        Args:
            path (str): The file.

        Returns:
            DemoPrediction: Scores and figure.

        Raises:
            ValueError: If it is no image that opens; the message is for the
                person who chose it.
        """
        fault = image_fault(path, decode=True)
        # Another extension does not tell that the file is no image.
        if fault is None:
            try:
                item = self.pipeline(dict(img_path=path))
            except Exception:
                fault = 'not an image'
        if fault is not None:
            raise ValueError(f'{os.path.basename(path)}: {fault}. Choose a '
                             'whole image file, such as JPEG or PNG.')
        sample, = self.model.test_step(
            dict(
                inputs=[item['inputs']], data_samples=[item['data_samples']]))
        row, = ssdp_rows(
            self.model, [item], self.views, has_classifier=False)
        buffer = io.BytesIO()
        # The gate looks like the map.
        figure = draw_ssdp_figure([row._replace(gate=None)])
        figure.savefig(buffer, dpi=DPI)
        return DemoPrediction({
            self._name(label): score
            for label, score in enumerate(sample.pred_score.tolist())
        }, Image.open(buffer).convert('RGB'))

    def _name(self, label: int) -> str:
        return f'class {label}' if self.classes is None else str(
            self.classes[label])
