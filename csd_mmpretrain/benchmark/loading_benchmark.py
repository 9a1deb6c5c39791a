"""Cost of loading and augmenting an image, transform by transform."""
import time
from typing import Callable, List, Optional, Tuple

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

from csd_mmpretrain.datasets.image_cache import ImageCache, decoded_sizes
from csd_mmpretrain.datasets.samples import source_datasets
from csd_mmpretrain.datasets.transforms.cached_load_image import (
    CachedLoadImage,
    loading_steps,
)
from csd_mmpretrain.utils.tables import markdown_table


def benchmark_loading(cfg: Config,
                      loader: str = 'train_dataloader',
                      images: int = 64,
                      repeats: int = 5) -> List[Tuple[str, float, float]]:
    """Measure the pipeline of a config on its own images, on one core.

    The result is processor time: the median over the repeats, then the mean
    over the images. Files have been read before, so the disk does not count.

    Args:
        cfg (Config): The whole config.
        loader (str): 'train_dataloader', 'val_dataloader' or
            'test_dataloader'. Defaults to 'train_dataloader'.
        images (int): Number of images. Defaults to 64.
        repeats (int): How often. Defaults to 5.

    Returns:
        list[tuple[str, float, float]]: For each transform of the pipeline
        its class, and milliseconds per image decoded anew and cached.

    Raises:
        ValueError: If LoadImageFromFile loads no image from the disk.
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
    transforms, position, _ = step
    decode = transforms[position]
    cache = ImageCache(decoded_sizes(list(paths), float('inf'))[0])
    cached = CachedLoadImage(
        decode, cache, {path: index for index, path in enumerate(paths)})
    threads = torch.get_num_threads(), cv2.getNumThreads()
    # As in a data worker.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        costs = []
        for load in (decode, cached):
            transforms[position] = load
            _time_images(transforms, infos)  # fills the cache
            runs = [_time_images(transforms, infos)
                    for _ in range(repeats)]
            costs.append(np.median(runs, axis=0).mean(axis=0) * 1000)
    finally:
        transforms[position] = decode
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])
        cache.close()
    names = (type(transform).__name__ for transform in transforms)
    return list(zip(names, *costs))


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


def format_loading(costs: List[Tuple[str, float, float]]) -> str:
    """Write costs and their sum as a Markdown table.

    Example:
        >>> print(format_loading([('LoadImageFromFile', 4, 1)]))
        | ms per image | decoded each time | from the cache |
        | :--- | ---: | ---: |
        | LoadImageFromFile | 4.00 | 1.00 |
        | all | 4.00 | 1.00 |
    """
    _, plain, cached = zip(*costs)
    return markdown_table(
        ('ms per image', 'decoded each time', 'from the cache'),
        [(name, f'{a:.2f}', f'{b:.2f}')
         for name, a, b in [*costs, ('all', sum(plain), sum(cached))]])
