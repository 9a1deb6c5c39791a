"""Features in two dimensions, and how well they separate the classes."""
import inspect
from typing import Dict, Optional

import numpy as np

METHODS = ('tsne', 'umap')


def unit_rows(features: np.ndarray) -> np.ndarray:
    """Divide each feature by its L2 norm.

    Args:
        features (ndarray): (N, C), floating.

    Returns:
        ndarray: (N, C); a feature of zeros stays as it is.
    """
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(norms, 1e-12)


def embed(features: np.ndarray,
          method: str = 'tsne',
          seed: int = 0,
          **options) -> np.ndarray:
    """Embed features in the plane.

    Args:
        features (ndarray): (N, C), floating; N is at least 4.
        method (str): ``'tsne'`` (scikit-learn) or ``'umap'`` (umap-learn).
            Defaults to ``'tsne'``.
        seed (int): Of the method. Defaults to 0.
        **options: Of scikit-learn's ``TSNE`` (``n_iter`` serves every
            version; ``perplexity`` defaults to 30, or a third of N - 1 where
            that is less), or of ``umap.UMAP``.

    Returns:
        ndarray: (N, n_components), float32.

    Raises:
        ValueError: If the method is unknown, there are too few features, a
            feature is not finite, or ``perplexity`` or ``n_neighbors`` does
            not fit their number.
        ImportError: If the method's package is missing.

    Example:
        ::

            points = embed(unit_rows(features), perplexity=20, seed=1)
    """
    check_embedding(len(features), method, **options)
    if not np.isfinite(features).all():
        raise ValueError('Features that are not finite cannot be drawn: the '
                         "model's weights are broken. Give another "
                         'checkpoint.')
    kind = _import(method)
    if method == 'umap':
        # With a seed it runs in one thread, and warns if asked for more.
        options['n_jobs'] = 1
    elif options.get('perplexity') is None:
        options['perplexity'] = min(30., (len(features) - 1) / 3)
    if 'n_iter' in options and 'max_iter' in inspect.signature(
            kind).parameters:
        options['max_iter'] = options.pop('n_iter')
    return kind(
        random_state=seed,
        **options).fit_transform(features).astype(np.float32)


def check_embedding(num: int,
                    method: str = 'tsne',
                    perplexity: Optional[float] = None,
                    n_neighbors: int = 15,
                    **others) -> None:
    """Check a method and its options before there are features.

    Args:
        num (int): How many features there will be.
        method (str): See :func:`embed`. Defaults to ``'tsne'``.
        perplexity (float, optional): Of t-SNE. Defaults to None, chosen.
        n_neighbors (int): Of UMAP. Defaults to 15.
        **others: Options that are left to the method.

    Raises:
        ValueError, ImportError: See :func:`embed`.
    """
    if method not in METHODS:
        raise ValueError(f'--method: there is no method {method!r}; choose '
                         f'one of {", ".join(METHODS)}.')
    if num < 4:
        raise ValueError(f'{num} images are too few for a drawing: '
                         'at least 4 are needed. Choose more classes, or '
                         'raise `--max-num-samples`.')
    most = num - 1
    if method == 'umap' and not 2 <= n_neighbors <= most:
        raise ValueError(f'--n-neighbors {n_neighbors}: with {num} images '
                         f'it must be at least 2 and at most {most}.')
    if perplexity is not None and not 0 < perplexity <= most:
        raise ValueError(f'--perplexity {perplexity:g}: with {num} images '
                         f'it must be more than 0 and at most {most}.')
    _import(method)


def _import(method: str) -> type:
    try:
        if method == 'umap':
            from umap import UMAP
            return UMAP
        from sklearn.manifold import TSNE
        return TSNE
    except ImportError as error:
        raise ImportError({
            'tsne':
            't-SNE needs scikit-learn: install the extra `vis`, pip install '
            '"csd_mmpretrain[vis]".',
            'umap':
            '--method umap needs umap-learn: install the extra `umap`, pip '
            'install "csd_mmpretrain[umap]", or use --method tsne.'
        }[method]) from error


def separation(features: np.ndarray,
               labels: np.ndarray) -> Dict[str, Optional[float]]:
    """Score how well features separate their classes.

    Both scores are of the features themselves, not of their drawing.

    Args:
        features (ndarray): (N, C), floating.
        labels (ndarray): (N,), integers.

    Returns:
        dict: ``'1-NN'``, the share of images whose nearest other image is of
        their class (Recall@1 of retrieval), and ``'silhouette'``, the mean
        silhouette; None where it is not defined (one class, or one image per
        class). Distances are Euclidean.

    Raises:
        ImportError: If scikit-learn is missing.

    Source: Rousseeuw 1987 for the silhouette; Recall@1 is the standard of
    metric learning, and needs but two images per class.

    Example:
        >>> import numpy as np
        >>> separation(np.array([[0.], [1], [9], [8]]), np.array([0, 0, 1, 1]))
        {'1-NN': 1.0, 'silhouette': 0.873...}
    """
    try:
        from sklearn.metrics import silhouette_score
        from sklearn.neighbors import NearestNeighbors
    except ImportError as error:
        raise ImportError(
            'The scores need scikit-learn: install the extra `vis`, pip '
            'install "csd_mmpretrain[vis]".') from error
    nearest = NearestNeighbors(n_neighbors=1).fit(features).kneighbors(
        return_distance=False)[:, 0]
    classes = len(np.unique(labels))
    silhouette = None
    if 2 <= classes < len(labels):
        silhouette = float(silhouette_score(features, labels))
    return {
        '1-NN': float((labels[nearest] == labels).mean()),
        'silhouette': silhouette
    }
