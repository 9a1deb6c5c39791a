"""How well clusters agree with classes."""
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS
from mmpretrain.utils.dependency import require

from .feature_metric import FeatureMetric
from .features import LabelledFeatures
from .similarity import unit_features

MODES = ('aware', 'agnostic')
SCIPY = 'pip install "csd_mmpretrain[bench]"'
SKLEARN = 'pip install "csd_mmpretrain[vis]"'


class PairScores(NamedTuple):
    """Of all pairs of images: same cluster against same class, fractions."""

    precision: float
    recall: float
    f1: float
    rand_index: float


class ClusteringScores(NamedTuple):
    """Agreement of clusters with classes, as fractions.

    Attributes:
        accuracy (float): Images in the cluster that stands for their class.
        nmi (float): Normalized mutual information, arithmetic mean.
        ari (float): Adjusted Rand index.
        f1 (float): F1 of pairs.
    """

    accuracy: float
    nmi: float
    ari: float
    f1: float


class DiscoveryScores(NamedTuple):
    """Accuracy over known and novel classes, as fractions.

    nan where there is no such image.

    Attributes:
        all (float): By one assignment of all clusters to all classes.
        seen (float): The share of the known images that are right in it.
        novel (float): That of the novel images.
        seen_plain (float): Known images whose prediction is their label,
            without an assignment.
    """

    all: float
    seen: float
    novel: float
    seen_plain: float


def count_pairs(labels: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Count the images of each class in each cluster.

    Args:
        labels (ndarray): (N,), int64, 0 or more.
        clusters (ndarray): (N,), int64, 0 or more.

    Returns:
        ndarray: (D, D), int64, clusters by classes; D is the larger number of
        the two.

    Raises:
        ValueError: If the shapes differ, or there is no image.
    """
    labels, clusters = np.asarray(labels), np.asarray(clusters)
    if labels.shape != clusters.shape or not labels.size:
        raise ValueError(
            f'{labels.shape} labels and {clusters.shape} clusters; expected '
            'one of each for every image, and at least one image.')
    size = int(max(labels.max(), clusters.max())) + 1
    flat = clusters.astype(np.int64) * size + labels
    return np.bincount(flat, minlength=size * size).reshape(size, size)


@require('scipy', SCIPY)
def assign_clusters(labels: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Give each cluster a class of its own, so that most images are right.

    Args:
        labels (ndarray): (N,), int64, 0 or more.
        clusters (ndarray): (N,), int64, 0 or more.

    Returns:
        ndarray: (D,), int64: the class of each cluster; D is the larger
        number of the two.

    Raises:
        ImportError: If scipy is missing.
        ValueError: As :func:`count_pairs`.

    Source: the Hungarian algorithm (Kuhn 1955), by scipy.

    Example:
        >>> assign_clusters([0, 0, 1, 2], [2, 2, 0, 1])
        array([1, 2, 0])
    """
    from scipy.optimize import linear_sum_assignment
    return linear_sum_assignment(
        count_pairs(labels, clusters), maximize=True)[1]


def pair_scores(labels: np.ndarray, clusters: np.ndarray) -> PairScores:
    """Compare clusters with classes pair by pair.

    Args:
        labels (ndarray): (N,), int64, 0 or more.
        clusters (ndarray): (N,), int64, 0 or more.

    Returns:
        PairScores: Fractions; 1 where there is nothing to get wrong.

    Raises:
        ValueError: As :func:`count_pairs`.

    Source: Manning et al. 2008, Introduction to Information Retrieval, 16.3.
    """
    counts = count_pairs(labels, clusters)

    def pairs(sizes: np.ndarray) -> int:
        return int((sizes * (sizes - 1) // 2).sum())

    both = pairs(counts)
    in_cluster, in_class = pairs(counts.sum(1)), pairs(counts.sum(0))
    total = pairs(counts.sum(keepdims=True))

    def share(part: int, whole: int) -> float:
        return part / whole if whole else 1.

    return PairScores(
        share(both, in_cluster), share(both, in_class),
        share(2 * both, in_cluster + in_class),
        share(total - in_cluster - in_class + 2 * both, total))


@require('scikit-learn', SKLEARN)
def clustering_scores(labels: np.ndarray,
                      clusters: np.ndarray) -> ClusteringScores:
    """Compare clusters with classes.

    Args:
        labels (ndarray): (N,), int64, 0 or more.
        clusters (ndarray): (N,), int64, 0 or more.

    Returns:
        ClusteringScores: Fractions.

    Raises:
        ImportError: If scipy or scikit-learn is missing.
        ValueError: As :func:`count_pairs`.

    Example:
        >>> clustering_scores([0, 0, 1, 1], [1, 1, 0, 0]).accuracy
        1.0
    """
    from sklearn.metrics import (
        adjusted_rand_score,
        normalized_mutual_info_score,
    )
    labels, clusters = np.asarray(labels), np.asarray(clusters)
    assigned = assign_clusters(labels, clusters)
    return ClusteringScores(
        float((assigned[clusters] == labels).mean()),
        float(normalized_mutual_info_score(labels, clusters)),
        float(adjusted_rand_score(labels, clusters)),
        pair_scores(labels, clusters).f1)


def discovery_scores(labels: np.ndarray, predictions: np.ndarray,
                     num_known: int) -> DiscoveryScores:
    """Judge predictions over known and novel classes, task-agnostic.

    One assignment over all classes can give a known class to a novel cluster,
    so ``seen`` may be high where every known image is called novel;
    ``seen_plain`` is low then.

    Args:
        labels (ndarray): (N,), int64; known classes come first.
        predictions (ndarray): (N,), int64, over known classes and clusters.
        num_known (int): Known classes.

    Returns:
        DiscoveryScores: Fractions.

    Raises:
        ImportError: If scipy is missing.
        ValueError: As :func:`count_pairs`.

    Source: the protocol of UNO (Fini et al. 2021) for all test images;
    ``seen_plain`` is a choice.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    right = assign_clusters(labels, predictions)[predictions] == labels
    known = labels < num_known

    def mean(hits: np.ndarray) -> float:
        return float(hits.mean()) if hits.size else float('nan')

    return DiscoveryScores(
        mean(right), mean(right[known]), mean(right[~known]),
        mean((predictions == labels)[known]))


@require('scikit-learn', SKLEARN)
def kmeans_clusters(features: np.ndarray,
                    num_clusters: int,
                    seed: int = 0,
                    n_init: int = 10) -> np.ndarray:
    """Cluster features of unit length by k-means.

    Args:
        features (ndarray): (N, C), floating.
        num_clusters (int): K, at most N.
        seed (int): Of the starts. Defaults to 0.
        n_init (int): Starts, of which the tightest clusters count. Defaults
            to 10.

    Returns:
        ndarray: (N,), int64, below K.

    Raises:
        ImportError: If scikit-learn is missing.
    """
    from sklearn.cluster import KMeans
    return KMeans(num_clusters, n_init=n_init, random_state=seed).fit_predict(
        features).astype(np.int64)


@METRICS.register_module()
class ClusteringMetric(FeatureMetric):
    """K-means of the query images' features, against their classes.

    Features are divided by their length. It gives ``clustering/accuracy`` (by
    the best assignment of clusters to classes), ``nmi``, ``ari`` and ``f1`` in
    per cent.

    Args:
        num_clusters (int, optional): Defaults to None, the number of classes
            that the images have, as the field does.
        seed (int): Of k-means. Defaults to 0.
        n_init (int): Starts of k-means. Defaults to 10.
        **options: Of :class:`FeatureMetric`.

    Raises:
        ImportError: If scipy or scikit-learn is missing.
        ValueError: If there are fewer images than clusters.

    Source: the protocol of metric learning (Song et al. 2016).

    Example:
        ::

            dict(type='ClusteringMetric')
    """

    default_prefix = 'clustering'

    def __init__(self,
                 num_clusters: Optional[int] = None,
                 seed: int = 0,
                 n_init: int = 10,
                 **options) -> None:
        super().__init__(**options)
        clustering_scores._verify_require()
        assign_clusters._verify_require()
        self.num_clusters = num_clusters
        self.seed = seed
        self.n_init = n_init

    def check_sizes(self, num_gallery: int, num_query: int) -> None:
        if num_query < max(2, self.num_clusters or 2):
            raise ValueError(
                f'ClusteringMetric: {num_query} images for '
                f'{self.num_clusters or 2} clusters. Give more images, or '
                'another num_clusters.')

    def compare(self, gallery: LabelledFeatures,
                query: LabelledFeatures) -> Dict[str, float]:
        labels = query.labels.cpu().numpy()
        features = unit_features('features', query.features).cpu().numpy()
        clusters = kmeans_clusters(
            features, self.num_clusters or len(np.unique(labels)), self.seed,
            self.n_init)
        scores = clustering_scores(labels, clusters)
        return {name: 100 * value
                for name, value in scores._asdict().items()}


@METRICS.register_module()
class ClusterAccuracy(BaseMetric):
    """Class scores over known and novel classes, against the true classes.

    ``aware``: images of novel classes alone, by the scores of the novel
    classes alone; ``discovery/aware/accuracy`` (by the best assignment),
    ``nmi``, ``ari`` and ``f1``. ``agnostic``: all images, by all scores;
    ``discovery/agnostic/all``, ``seen``, ``novel`` and ``seen_plain`` of
    :class:`DiscoveryScores`, and ``nmi`` and ``ari``. All in per cent. An
    image that a sampler repeats counts once.

    Args:
        mode (str): ``'aware'`` or ``'agnostic'``.
        num_known (int): Known classes, which come first in the scores.
        **options: Of mmengine's ``BaseMetric``.

    Raises:
        ImportError: If scipy or scikit-learn is missing.
        ValueError: For another mode, or if no image is of a novel class.

    Source: the two protocols of UNO (Fini et al. 2021).

    Example:
        ::

            val_evaluator = dict(
                type='ClusterAccuracy', mode='agnostic', num_known=41)
    """

    default_prefix = 'discovery'

    def __init__(self, mode: str, num_known: int, **options) -> None:
        super().__init__(**options)
        if mode not in MODES:
            raise ValueError(f'ClusterAccuracy: mode={mode!r}, expected '
                             f'{" or ".join(map(repr, MODES))}.')
        clustering_scores._verify_require()
        assign_clusters._verify_require()
        self.mode = mode
        self.num_known = num_known

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            scores = sample['pred_score']
            label = int(sample['gt_label'])
            if self.mode == 'aware':
                scores = scores[self.num_known:]
                label -= self.num_known
            if label >= 0:
                self.results.append(
                    (sample['sample_idx'], label, int(scores.argmax())))

    def compute_metrics(self, results: List[tuple]) -> Dict[str, float]:
        if not results:
            raise ValueError(
                f'ClusterAccuracy: mode={self.mode!r} found no image of a '
                f'class from {self.num_known} on, which are the novel ones. '
                'Give data that has some, or another num_known.')
        _, labels, predictions = np.array(sorted(set(results))).T
        scores = clustering_scores(labels, predictions)._asdict()
        if self.mode == 'agnostic':
            scores = dict(
                discovery_scores(labels, predictions,
                                 self.num_known)._asdict(),
                nmi=scores['nmi'], ari=scores['ari'])
        return {f'{self.mode}/{name}': 100 * value
                for name, value in scores.items()}
