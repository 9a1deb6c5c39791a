"""Loading images through a cache, as LoadImageFromFile would."""
from copy import copy
from typing import Dict, Iterator, List, Optional, Tuple

import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from torch.utils.data import Dataset

from csd_mmpretrain.datasets.image_cache import ImageCache
from csd_mmpretrain.datasets.samples import (
    image_paths,
    list_samples,
    source_datasets,
)


class CachedLoadImage(BaseTransform):
    """LoadImageFromFile, but each image is decoded once.

    ``ImageCacheHook`` puts it into the pipelines of a run. Images are kept as
    they are decoded; ``to_float32`` is applied afterwards.

    Args:
        loader (LoadImageFromFile): Decodes an image that is not kept.
        cache (ImageCache): Keeps decoded images.
        indices (dict[str, int]): The index of each path in the cache. Other
            paths are left to ``loader``.

    Example:
        >>> cache = ImageCache([3 * 64 * 64])
        >>> load = CachedLoadImage(LoadImageFromFile(), cache, {'a.png': 0})
    """

    def __init__(self, loader: LoadImageFromFile, cache: ImageCache,
                 indices: Dict[str, int]) -> None:
        self.loader = loader
        self.cache = cache
        self.indices = indices

    def transform(self, results: dict) -> Optional[dict]:
        index = self.indices.get(results['img_path'])
        if index is None:
            return self.loader.transform(results)

        def decode() -> Optional[np.ndarray]:
            loader = copy(self.loader)
            loader.to_float32 = False
            return (loader.transform(dict(results)) or {}).get('img')

        image = self.cache.get(index, decode)
        if image is None:
            return None
        if self.loader.to_float32:
            image = image.astype(np.float32)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


def loading_steps(dataset: Dataset
                  ) -> Iterator[Tuple[list, int, List[str]]]:
    """Find each LoadImageFromFile in the pipelines of a dataset.

    Subclasses of it may do something else and do not count, nor do files
    behind another backend than the local disk.

    Yields:
        tuple[list, int, list[str]]: The pipeline's transforms, the place of
        LoadImageFromFile among them, and the image files, each once.
    """
    for source in source_datasets(dataset):
        pipeline = getattr(source, 'pipeline', None)
        transforms = getattr(pipeline, 'transforms', [])
        for position, transform in enumerate(transforms):
            if type(transform) is LoadImageFromFile:
                paths = image_paths(list_samples(source))
                if paths:
                    yield transforms, position, paths
