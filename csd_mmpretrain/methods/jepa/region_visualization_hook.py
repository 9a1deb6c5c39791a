"""Contexts and targets of JEPA, drawn during a training."""
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.datasets.eval_images import eval_pipeline, spread_items
from csd_mmpretrain.runtime.periodic_hook import PeriodicHook
from csd_mmpretrain.utils.unwrap import unwrap
from csd_mmpretrain.visualization.figure_pixels import figure_pixels

from .region_figure import draw_regions, region_maps


@HOOKS.register_module()
class RegionVisualizationHook(PeriodicHook):
    """Draw what is predicted from what into the run's log.

    Before the first step and every ``interval`` epochs, rank 0 draws the
    figure of tools/visualization/vis_regions.py for the same training images,
    as at the end of the curriculum. The training itself is not changed, see
    :class:`~csd_mmpretrain.runtime.periodic_hook.PeriodicHook`.

    Args:
        num_images (int): Number of images, evenly spread. Defaults to 4.
        interval (int): Epochs (iterations) between two figures. Defaults to
            10.

    Raises:
        ValueError: If a number is not positive; before the first step, if an
            image is missing or broken, or FSDP shards the weights.
        TypeError: Before the first step, if the model is no ``JEPA``.

    Example:
        >>> default_hooks = dict(
        ...     regions=dict(type='RegionVisualizationHook'))
    """

    priority = 'LOWEST'
    main_process_only = True
    tool = 'tools/visualization/vis_regions.py'

    def __init__(self, num_images: int = 4, interval: int = 10) -> None:
        super().__init__(interval)
        if num_images < 1:
            raise ValueError(f'RegionVisualizationHook: num_images='
                             f'{num_images} must be a positive integer.')
        self.num_images = num_images

    def prepare(self, runner: Runner) -> None:
        self._items = spread_items(
            runner.train_dataloader.dataset, eval_pipeline(runner.cfg),
            self.num_images)

    def look(self, runner: Runner, step: int) -> None:
        model = unwrap(runner.model).eval()
        figure = draw_regions(region_maps(model, self._items))
        runner.visualizer.add_image('regions', figure_pixels(figure), step)
