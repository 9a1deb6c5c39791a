"""Masks and second views of SSDP, drawn during a training."""
from importlib.util import find_spec
from typing import Sequence, Union

import torch
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.datasets.eval_images import eval_pipeline, spread_items
from csd_mmpretrain.methods.csdnet.discrepancy_mask_view import (
    DiscrepancyMaskView,
)
from csd_mmpretrain.methods.csdnet.ssdp_hook import SSDPHook
from csd_mmpretrain.runtime.periodic_hook import PeriodicHook
from csd_mmpretrain.utils.unwrap import unwrap
from csd_mmpretrain.visualization.figure_pixels import figure_pixels

from .ssdp_figure import draw_ssdp_figure
from .ssdp_rows import check_pattern_map, ssdp_rows
from .ssdp_views import choose_views


@HOOKS.register_module()
class SSDPVisualizationHook(PeriodicHook):
    """Draw the masks of a few training images into the run's log.

    Before the first step and every ``interval`` epochs (iterations in an
    iteration-based training), rank 0 draws the figure of
    tools/visualization/vis_ssdp.py for the same images: image, pattern map,
    gate, mask, second views and the best predictions. The images come through
    the test pipeline, without random augmentation. The figure goes to all of
    the visualizer's back ends. The training itself is not changed, see
    :class:`~csd_mmpretrain.runtime.periodic_hook.PeriodicHook`.

    Args:
        num_images (int): Number of training images, evenly spread. Defaults
            to 4.
        interval (int): Epochs (iterations) between two figures. Defaults to
            1.
        mode (str | Sequence[str], optional): Modes of
            ``DiscrepancyMaskView`` to draw, or ``'all'``. Defaults to None,
            the view of the config's ``SSDPHook``.
        name (str): Name of the figure in the back ends. MLflow takes it for
            a file name: use ``'ssdp.png'`` there. Defaults to ``'ssdp'``.
        dpi (int): Resolution of the figure. Defaults to 100.

    Raises:
        ValueError: If a number is not positive or a mode is unknown; before
            the first step, if an image is missing or broken, or FSDP shards
            the weights.
        TypeError: Before the first step, if the view needs a pattern map and
            the neck has none.
        ModuleNotFoundError: Without matplotlib.

    Example:
        Into ``<work dir>/<time>/vis_data/vis_image`` and TensorBoard:

        >>> default_hooks = dict(
        ...     ssdp_visualization=dict(type='SSDPVisualizationHook'))
        >>> visualizer = dict(
        ...     type='UniversalVisualizer',
        ...     vis_backends=[dict(type='LocalVisBackend'),
        ...                   dict(type='TensorboardVisBackend')])
    """

    # After CheckpointHook: nothing that others do waits for the figure.
    priority = 'LOWEST'
    main_process_only = True
    tool = 'tools/visualization/vis_ssdp.py'

    def __init__(self, num_images: int = 4, interval: int = 1,
                 mode: Union[str, Sequence[str], None] = None,
                 name: str = 'ssdp', dpi: int = 100) -> None:
        super().__init__(interval)
        for option, value in (('num_images', num_images), ('dpi', dpi)):
            if value < 1:
                raise ValueError(f'SSDPVisualizationHook: {option}={value} '
                                 'must be a positive integer.')
        if find_spec('matplotlib') is None:
            raise ModuleNotFoundError(
                'SSDPVisualizationHook draws with matplotlib, which is not '
                "installed: `pip install 'csd_mmpretrain[vis]'`, or leave "
                'the hook out.')
        self.modes = [mode] if isinstance(mode, str) else mode
        choose_views(DiscrepancyMaskView(), self.modes)
        self.num_images = num_images
        self.name = name
        self.dpi = dpi

    def prepare(self, runner: Runner) -> None:
        view = next((hook.view for hook in runner.hooks
                     if isinstance(hook, SSDPHook)), DiscrepancyMaskView())
        self._views = choose_views(view, self.modes)
        check_pattern_map(unwrap(runner.model), self._views)
        dataset = runner.train_dataloader.dataset
        self._classes = dataset.metainfo.get('classes')
        self._items = spread_items(dataset, eval_pipeline(runner.cfg),
                                   self.num_images)

    def look(self, runner: Runner, step: int) -> None:
        torch.manual_seed(0)  # every look draws the same random view
        rows = ssdp_rows(unwrap(runner.model), self._items, self._views)
        figure = draw_ssdp_figure(rows, self._classes)
        runner.visualizer.add_image(
            self.name, figure_pixels(figure, self.dpi), step)
