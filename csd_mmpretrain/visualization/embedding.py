"""Features in two dimensions, and how well they separate the classes."""
import inspect
from typing import Any, Dict, Optional

import numpy as np
from mmpretrain.utils import require


@require('scikit-learn', 'pip install "csd_mmpretrain[vis]"')
def _tsne() -> type:
    from sklearn.manifold import TSNE
    return TSNE


@require('umap-learn', 'pip install "csd_mmpretrain[umap]"')
def _umap() -> type:
    from umap import UMAP
    return UMAP


METHODS = dict(tsne=_tsne, umap=_umap)


def make_embedder(num: int,
                  method: str = 'tsne',
                  seed: int = 0,
                  **options) -> Any:
    """Make a t-SNE or UMAP that fits a number of features.

    Args:
        num (int): Number of features.
        method (str): ``'tsne'`` (scikit-learn) or ``'umap'`` (umap-learn).
            Defaults to ``'tsne'``.
        seed (int): Random state of the method. Defaults to 0.
        **options: Of the method. ``perplexity`` defaults to 30, or
            (num - 1) / 3 where that is less; ``n_iter`` serves every version.

    Returns:
        TSNE | UMAP: Its ``fit_transform`` takes (num, C) features.

    Raises:
        ValueError: If ``num`` is below 4, or ``perplexity`` or
            ``n_neighbors`` does not fit it.
        ImportError: If the method's package is missing.

    Example:
        ::

            points = make_embedder(len(features)).fit_transform(features)
    """
    if num < 4:
        raise ValueError(f'{num} images are too few to embed: at least 4 are '
                         'needed. Choose more classes, or raise '
                         '--max-num-samples.')
    kind = METHODS[method]()
    if method == 'umap':
        # A seed needs one thread; UMAP warns unless told so.
        options['n_jobs'] = 1
        neighbors = options.get('n_neighbors', 15)
        if not 2 <= neighbors < num:
            raise ValueError(f'--n-neighbors {neighbors}: with {num} images '
                             f'it must be at least 2 and at most {num - 1}.')
        return kind(random_state=seed, **options)
    perplexity = options.pop('perplexity', None)
    if perplexity is None:
        perplexity = min(30., (num - 1) / 3)
    if not 0 < perplexity < num:
        raise ValueError(f'--perplexity {perplexity:g}: with {num} images it '
                         f'must be more than 0 and at most {num - 1}.')
    if 'max_iter' in inspect.signature(kind).parameters:
        options['max_iter'] = options.pop('n_iter', 1000)
    return kind(random_state=seed, perplexity=perplexity, **options)


def separation(features: np.ndarray,
               labels: np.ndarray) -> Dict[str, Optional[float]]:
    """Score how well features separate their classes.

    Args:
        features (ndarray): (N, C), floating.
        labels (ndarray): (N,), integers.

    Returns:
        dict: ``'1-NN'``, the fraction of images whose nearest other image is
        of their class, and ``'silhouette'``, its mean, or None where it is
        not defined (one class, or one image per class).

    Source: Rousseeuw 1987 for the silhouette.

    Example:
        >>> import numpy as np
        >>> separation(np.array([[0.], [1], [9], [8]]), np.array([0, 0, 1, 1]))
        {'1-NN': 1.0, 'silhouette': 0.873...}
    """
    from sklearn.metrics import silhouette_score
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=1).fit(features).kneighbors(
        return_distance=False)[:, 0]
    silhouette = None
    if 2 <= len(np.unique(labels)) < len(labels):
        silhouette = float(silhouette_score(features, labels))
    return {'1-NN': float((labels[nearest] == labels).mean()),
            'silhouette': silhouette}
