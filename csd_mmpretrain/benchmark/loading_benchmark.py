"""What loading and augmenting an image costs, transform by transform."""
import time
from typing import Callable, List, NamedTuple, Optional

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

from csd_mmpretrain.datasets.image_cache import ImageCache
from csd_mmpretrain.datasets.image_cache_plan import (
    decoded_sizes,
    loading_steps,
)
from csd_mmpretrain.datasets.samples import source_datasets
from csd_mmpretrain.datasets.transforms.cached_load_image import (
    CachedLoadImage,
)


class LoadingCost(NamedTuple):
    """Processor time of a transform.

    Args:
        name (str): Its class.
        plain (float): Milliseconds per image.
        cached (float): The same when decoded images are kept in memory.
    """

    name: str
    plain: float
    cached: float


def benchmark_loading(cfg: Config,
                      loader: str = 'train_dataloader',
                      images: int = 64,
                      repeats: int = 5) -> List[LoadingCost]:
    """Measure the pipeline of a config on its own images, on one core.

    An image takes its median over the repeats; images are averaged. What is
    measured is processor time, which other programs disturb less than the
    clock. Files have been read once before, so that no disk is waited for.

    Args:
        cfg (Config): The whole config.
        loader (str): 'train_dataloader', 'val_dataloader' or
            'test_dataloader'. Defaults to 'train_dataloader'.
        images (int): How many images, spread over the data set. Defaults to
            64.
        repeats (int): How often. Defaults to 5.

    Returns:
        list[LoadingCost]: In the order of the pipeline.

    Raises:
        ValueError: If no image is loaded by LoadImageFromFile from the disk.

    Source: choice.
    """
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset = next(source_datasets(DATASETS.build(cfg[loader].dataset)))
    step = next(loading_steps(dataset), None)
    if step is None:
        raise ValueError(f'{loader}: LoadImageFromFile loads none of its '
                         'images from disk, so that there is no cost to '
                         'measure. Name another loader.')
    chosen = np.linspace(0, len(dataset) - 1, min(images, len(dataset)))
    infos = [dataset.get_data_info(int(index)) for index in chosen]
    paths = {str(info['img_path']) for info in infos}
    keys = [key for key in step.keys if key.path in paths]
    sizes, _ = decoded_sizes(keys, float('inf'), 1)
    cache, decode = ImageCache(sizes), step.loader
    cached = CachedLoadImage(
        decode,
        {key.path: (cache, index) for index, key in enumerate(keys)})
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        # As data workers are set; once unmeasured, which fills the cache.
        runs = {}
        for name, load in (('plain', decode), ('cached', cached)):
            step.transforms[step.position] = load
            _time_images(step.transforms, infos)
            runs[name] = [
                _time_images(step.transforms, infos) for _ in range(repeats)
            ]
    finally:
        step.transforms[step.position] = decode
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])
        cache.close()
    plain, kept = (np.median(runs[name], axis=0).mean(axis=0) * 1000
                   for name in ('plain', 'cached'))
    return [
        LoadingCost(type(transform).__name__, float(a), float(b))
        for transform, a, b in zip(step.transforms, plain, kept)
    ]


def _time_images(transforms: List[Callable[[dict], Optional[dict]]],
                 infos: List[dict]) -> np.ndarray:
    """Seconds of processor time by image and transform."""
    seconds = np.zeros((len(infos), len(transforms)))
    for row, info in zip(seconds, infos):
        results = dict(info)
        for column, transform in enumerate(transforms):
            start = time.process_time()
            results = transform(results)
            row[column] = time.process_time() - start
    return seconds


def format_loading(costs: List[LoadingCost]) -> str:
    """Write costs as a Markdown table.

    Args:
        costs (list[LoadingCost]): Of the transforms of a pipeline.

    Returns:
        str: A row for each transform, and their sum.

    Example:
        >>> print(format_loading([LoadingCost('LoadImageFromFile', 4, 1)]))
        | ms per image | decoded each time | from the cache |
        | :--- | ---: | ---: |
        | LoadImageFromFile | 4.00 | 1.00 |
        | all | 4.00 | 1.00 |
    """
    total = LoadingCost('all', sum(cost.plain for cost in costs),
                        sum(cost.cached for cost in costs))
    rows = ['| ms per image | decoded each time | from the cache |',
            '| :--- | ---: | ---: |']
    rows += [f'| {cost.name} | {cost.plain:.2f} | {cost.cached:.2f} |'
             for cost in [*costs, total]]
    return '\n'.join(rows)
