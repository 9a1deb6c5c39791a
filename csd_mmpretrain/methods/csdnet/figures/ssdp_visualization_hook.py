"""What SSDP sees, drawn again and again during a training."""
from importlib.util import find_spec
from typing import Optional, Sequence, Union

import torch
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import IterBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS
from torch.distributed.fsdp import FullyShardedDataParallel

from csd_mmpretrain.datasets.eval_images import eval_pipeline, spread_items
from csd_mmpretrain.methods.csdnet.discrepancy_mask_view import (
    DiscrepancyMaskView,
)
from csd_mmpretrain.methods.csdnet.ssdp_hook import SSDPHook
from csd_mmpretrain.runtime.undisturbed import (
    same_modes,
    same_random_states,
    validated_weights,
)
from csd_mmpretrain.utils.unwrap import unwrap
from csd_mmpretrain.visualization.figure_pixels import figure_pixels

from .ssdp_figure import draw_ssdp_figure
from .ssdp_rows import check_pattern_map, ssdp_rows
from .ssdp_views import choose_views


@HOOKS.register_module()
class SSDPVisualizationHook(Hook):
    """Draw the masks of a few training images into the run's log.

    Before the first step and after every ``interval`` epochs (iterations, in
    a training that counts these), rank 0 draws the grid of
    tools/visualization/vis_ssdp.py for the same images: image, pattern map,
    gate, mask, second views, and the best predictions. The images are loaded
    with the pipeline of the test, so without random augmentation, and go to
    all of the visualizer's back ends. With ``EMAHook`` the averages see them,
    as in the validation. The training goes on as if nothing had been drawn:
    the model's modes, the random generators, batch norm's statistics and
    DDL's queue stay as they are.

    Args:
        num_images (int): Training images, evenly spread. Defaults to 4.
        interval (int): Epochs between two drawings. Defaults to 1.
        mode (str | Sequence[str], optional): Modes of
            ``DiscrepancyMaskView`` to draw, or ``'all'``. Defaults to None,
            the view of the config's ``SSDPHook``.
        name (str): The picture's name in the back ends. MLflow takes it for
            a file name: ``'ssdp.png'`` there. Defaults to ``'ssdp'``.
        dpi (int): Pixels per inch of the picture. Defaults to 100.

    Raises:
        ValueError: If a number is not positive or a mode is unknown; before
            the first step, if an image is missing or broken, or FSDP shares
            the weights among processes.
        TypeError: Before the first step, if the view needs a pattern map and
            the neck has none.
        ModuleNotFoundError: When it is built, without matplotlib.

    Source: choice.

    Example:
        Into ``<work dir>/<time>/vis_data/vis_image``::

            default_hooks = dict(
                ssdp_visualization=dict(type='SSDPVisualizationHook'))

        Each further back end is one line::

            visualizer = dict(
                type='UniversalVisualizer',
                vis_backends=[
                    dict(type='LocalVisBackend'),
                    dict(type='TensorboardVisBackend'),
                    dict(type='WandbVisBackend'),
                    dict(type='MLflowVisBackend'),
                ])
    """

    # After CheckpointHook: nothing that others do waits for the drawing.
    priority = 'LOWEST'

    def __init__(self,
                 num_images: int = 4,
                 interval: int = 1,
                 mode: Union[str, Sequence[str], None] = None,
                 name: str = 'ssdp',
                 dpi: int = 100) -> None:
        for option, value in (('num_images', num_images),
                              ('interval', interval), ('dpi', dpi)):
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
        self.interval = interval
        self.name = name
        self.dpi = dpi

    def before_train(self, runner: Runner) -> None:
        """Load the images, check the model, and draw unless resumed.

        Args:
            runner (Runner): The runner of the training.
        """
        if runner.rank != 0:
            return
        if any(isinstance(module, FullyShardedDataParallel)
               for module in runner.model.modules()):
            raise ValueError(
                'SSDPVisualizationHook draws in one process, but FSDP shares '
                'the weights among all. Leave the hook out, and draw '
                'checkpoints with tools/visualization/vis_ssdp.py.')
        view = next((hook.view for hook in runner.hooks
                     if isinstance(hook, SSDPHook)), DiscrepancyMaskView())
        self._views = choose_views(view, self.modes)
        check_pattern_map(unwrap(runner.model), self._views)
        dataset = runner.train_dataloader.dataset
        self._classes = dataset.metainfo.get('classes')
        with same_random_states():
            self._items = spread_items(dataset, eval_pipeline(runner.cfg),
                                       self.num_images)
        if runner.iter == 0:
            self._draw(runner, 0)

    def after_train_epoch(self, runner: Runner) -> None:
        """Draw, if it is due.

        Args:
            runner (Runner): The runner of the training.
        """
        if (not isinstance(runner.train_loop, IterBasedTrainLoop)
                and self.every_n_epochs(runner, self.interval)):
            self._draw(runner, runner.epoch + 1)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        """Draw, if it is due in a training that counts iterations.

        Args:
            runner (Runner): The runner of the training.
            batch_idx (int): Index of the batch.
            data_batch (dict, optional): The batch.
            outputs (dict, optional): What the step logs.
        """
        if (isinstance(runner.train_loop, IterBasedTrainLoop)
                and self.every_n_train_iters(runner, self.interval)):
            self._draw(runner, runner.iter + 1)

    def _draw(self, runner: Runner, step: int) -> None:
        if runner.rank != 0:
            return
        model = unwrap(runner.model)
        with same_random_states(), same_modes(model), \
                validated_weights(runner.hooks):
            torch.manual_seed(0)  # the same draws of a view, every time
            rows = ssdp_rows(model, self._items, self._views)
        figure = draw_ssdp_figure(rows, self._classes)
        runner.visualizer.add_image(
            self.name, figure_pixels(figure, self.dpi), step)
