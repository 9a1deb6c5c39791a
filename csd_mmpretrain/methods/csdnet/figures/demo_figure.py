"""What the demo shows of CSDNet in an image."""
from typing import TYPE_CHECKING

from mmengine.config import Config
from mmengine.model import BaseModel

from .ssdp_figure import draw_ssdp_figure
from .ssdp_rows import check_pattern_map, ssdp_rows
from .ssdp_views import choose_views, config_view

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class DemoFigure:
    """Draw what SSDP makes of an image.

    Args:
        cfg (Config): The whole config.
        model (BaseModel): Its model.

    Raises:
        TypeError: If the model has no pattern map to draw.

    Example:
        ::

            figure = DemoFigure(cfg, model)(item)
    """

    def __init__(self, cfg: Config, model: BaseModel) -> None:
        self.views = choose_views(config_view(cfg))
        check_pattern_map(model, self.views)
        self.model = model

    def __call__(self, item: dict) -> 'Figure':
        """Draw an image, its pattern map, its mask and its second view.

        Args:
            item (dict): What the test pipeline returns.

        Returns:
            Figure: Ready for ``figure.savefig(path)``.
        """
        row, = ssdp_rows(
            self.model, [item], self.views, has_classifier=False)
        # The gate looks like the map.
        return draw_ssdp_figure([row._replace(gate=None, file='')])
