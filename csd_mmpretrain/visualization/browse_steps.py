"""What each step of a data pipeline makes of an image."""
from copy import deepcopy
from typing import Any, List, NamedTuple, Optional, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS

from csd_mmpretrain.datasets.samples import source_datasets


class Step(NamedTuple):
    """An image, or several views of it, after a step of the pipeline.

    Attributes:
        name (str): The transform's class; ``'Original'`` for what is loaded.
        images (list[ndarray]): (H, W, 3) each, uint8, RGB.
    """

    name: str
    images: List[np.ndarray]


class Browsed(NamedTuple):
    """An image of a dataset on its way through the pipeline.

    Attributes:
        path (str): Its file; its number where it has none.
        label (list[int]): Its classes; empty if unknown.
        steps (list[Step]): The loaded image first, and last what the model
            gets.
        packed (dict): What the pipeline returns.
    """

    path: str
    label: List[int]
    steps: List[Step]
    packed: dict


class _RecordingPipeline(Compose):
    """A pipeline that remembers the images after each step."""

    def __init__(self, transforms: Sequence, channel_order: str) -> None:
        super().__init__(transforms)
        self.channel_order = channel_order
        self.steps: List[Step] = []

    def __call__(self, data: dict) -> Optional[dict]:
        self.steps = []
        self._record('Original', data)
        for transform in self.transforms:
            data = transform(data)
            if data is None:
                return None
            name = type(transform).__name__ if self.steps else 'Original'
            self._record(name, data)
        return data

    def _record(self, name: str, data: dict) -> None:
        images = data.get('img')
        if images is not None:
            views = images if isinstance(images, list) else [images]
            self.steps.append(Step(
                name, [_to_rgb(view, self.channel_order) for view in views]))


class DatasetBrowser:
    """A config's dataset, whose pipeline is watched.

    Args:
        cfg (Config): The whole config.
        phase (str): ``'train'``, ``'val'`` or ``'test'``.
        channel_order (str): Of the images in the pipeline, ``'BGR'`` or
            ``'RGB'``. Defaults to ``'BGR'``, as LoadImageFromFile loads them.

    Attributes:
        dataset (Dataset): The dataset.
        classes (Sequence[str], optional): Names of the classes.

    Raises:
        ValueError: If the config has no such data loader.

    Example:
        ::

            seen = DatasetBrowser(cfg, 'train').load(0)
            print(seen.path, [step.name for step in seen.steps])
    """

    def __init__(self,
                 cfg: Config,
                 phase: str,
                 channel_order: str = 'BGR') -> None:
        loader = cfg.get(f'{phase}_dataloader')
        if not loader:
            raise ValueError(f'The config has no {phase}_dataloader. Choose '
                             'another phase: train, val or test.')
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            self.dataset = DATASETS.build(deepcopy(loader.dataset))
        self.classes = self.dataset.metainfo.get('classes')
        self._pipelines = []
        for source in source_datasets(self.dataset):
            source.pipeline = _RecordingPipeline(source.pipeline.transforms,
                                                 channel_order)
            self._pipelines.append(source.pipeline)

    def load(self, index: int) -> Browsed:
        """Load an image, and record what happens to it.

        Args:
            index (int): Its number in the dataset.

        Returns:
            Browsed: The image after each step.

        Raises:
            ValueError: If the pipeline has no image.
        """
        for pipeline in self._pipelines:
            pipeline.steps = []
        packed = self.dataset[index]
        steps = [step for pipeline in self._pipelines
                 for step in pipeline.steps]
        if not steps:
            raise ValueError('The pipeline of the dataset makes no `img` to '
                             'draw.')
        sample = packed.get('data_samples')
        label = sample.gt_label.tolist() if 'gt_label' in sample else []
        path = getattr(sample, 'img_path', None) or f'{index}.jpg'
        return Browsed(str(path), label, steps, packed)


def _to_rgb(image: Any, channel_order: str) -> np.ndarray:
    """Bring any kind of image to (H, W, 3), uint8, RGB."""
    if isinstance(image, torch.Tensor):
        image = image.movedim(0, -1).cpu().numpy()
    elif not isinstance(image, np.ndarray):
        return np.asarray(image.convert('RGB'))  # PIL
    if image.ndim == 2:
        image = image[..., None]
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        if low < 0 or high > 255 or high <= 1:  # normalized
            image = (image - low) * (255 / max(high - low, 1e-6))
        image = image.round().clip(0, 255).astype(np.uint8)
    image = np.broadcast_to(image[..., :3], (*image.shape[:2], 3))
    if channel_order == 'BGR':
        image = image[..., ::-1]
    return np.ascontiguousarray(image)
