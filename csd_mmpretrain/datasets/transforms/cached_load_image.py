"""Loading images through a cache, as LoadImageFromFile would."""
from copy import copy
from typing import Dict, Optional, Tuple

import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile

from csd_mmpretrain.datasets.image_cache import ImageCache


class CachedLoadImage(BaseTransform):
    """LoadImageFromFile, but each image is decoded once.

    ``ImageCacheHook`` puts it into the pipelines of a run. Images are kept as
    they are decoded; ``to_float32`` is applied afterwards.

    Args:
        loader (LoadImageFromFile): Decodes an image that is not in a cache.
        places (dict[str, tuple[ImageCache, int]]): The cache of a path, and
            the image's index in it. Other paths are left to ``loader``.

    Source: choice.

    Example:
        >>> places = {'a.png': (ImageCache([3 * 64 * 64]), 0)}
        >>> load = CachedLoadImage(LoadImageFromFile(), places)
        >>> load(dict(img_path='a.png'))['img_shape']
        (64, 64)
    """

    def __init__(self, loader: LoadImageFromFile,
                 places: Dict[str, Tuple[ImageCache, int]]) -> None:
        self.loader = loader
        self.places = places
        self._decoder = copy(loader)
        self._decoder.to_float32 = False

    def transform(self, results: dict) -> Optional[dict]:
        """Load an image.

        Args:
            results (dict): With ``img_path``.

        Returns:
            dict | None: ``results`` with ``img``, ``img_shape`` and
            ``ori_shape``; None if the loader gives none (``ignore_empty``).
        """
        cache, index = self.places.get(results['img_path'], (None, 0))
        if cache is None:
            return self.loader.transform(results)

        def decode() -> Optional[np.ndarray]:
            loaded = self._decoder.transform(dict(results))
            return None if loaded is None else loaded['img']

        image = cache.get(index, decode)
        if image is None:
            return None
        if self.loader.to_float32:
            image = image.astype(np.float32)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.loader})'
