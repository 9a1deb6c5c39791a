"""Figure of discovered clusters, and what they have in common with others."""
from typing import TYPE_CHECKING, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch

from csd_mmpretrain.visualization.image_grid import (
    DARK,
    GRAY,
    GREEN,
    RED,
    Panel,
    draw_grid,
)
from csd_mmpretrain.visualization.rgb_images import read_rgb

from .ncd_head import NCDHead
from .unlabelled_photos import UnlabelledPhotos

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RELATED = 3


class Cluster(NamedTuple):
    """A cluster of unlabelled photos.

    Attributes:
        number (int): From 0.
        photos (ndarray): (n,), int64, its photos, the surest first.
        scores (ndarray): (n,), float32, their probabilities of the cluster.
        related (list[tuple[int, float]]): The known classes that it has most
            in common with, and their shares.
        majority (int, optional): The novel class of most of its photos, where
            labels are known.
        purity (float, optional): The share of that class.
    """

    number: int
    photos: np.ndarray
    scores: np.ndarray
    related: List[Tuple[int, float]]
    majority: Optional[int] = None
    purity: Optional[float] = None


@torch.no_grad()
def find_clusters(head: NCDHead, features: torch.Tensor,
                  labels: Optional[torch.Tensor] = None) -> List[Cluster]:
    """Put photos into the clusters of the best head.

    A photo's class relation is the softmax of its cosines with the known
    classes; a cluster's is the mean over its photos.

    Args:
        head (NCDHead): Trained, with novel classes.
        features (Tensor): (N, C), of unlabelled photos.
        labels (Tensor, optional): (N,), int64, their classes. Defaults to
            None.

    Returns:
        list[Cluster]: Those that have a photo, by number.

    Source: the class relation of Cr-KD at temperature tau; its softer one
    names the same classes, with nearly equal shares.
    """
    logits = head((features, ))
    known, novel = logits.split([head.num_known, head.num_novel], 1)
    scores, cluster = novel.softmax(1).max(1)
    relation = known.softmax(1)
    found = []
    for number in cluster.unique().tolist():
        photos = (cluster == number).nonzero()[:, 0]
        photos = photos[scores[photos].argsort(descending=True)]
        share, classes = relation[photos].mean(0).topk(
            min(RELATED, head.num_known))
        majority = purity = None
        if labels is not None:
            counts = labels[photos.cpu()].bincount()
            majority = int(counts.argmax())
            purity = float(counts.max() / len(photos))
        found.append(Cluster(
            number, photos.cpu().numpy(), scores[photos].cpu().numpy(),
            list(zip(classes.tolist(), share.tolist())), majority, purity))
    return found


def describe_cluster(cluster: Cluster, photos: UnlabelledPhotos) -> str:
    """Write a line about a cluster.

    Args:
        cluster (Cluster): One of these photos.
        photos (UnlabelledPhotos): With the names of the classes.

    Returns:
        str: Its size, purity and related known classes.
    """
    text = f'novel-{cluster.number}: {len(cluster.photos)} photos'
    if cluster.majority is not None:
        text += (f', {cluster.purity:.0%} '
                 f'{photos.novel_classes[cluster.majority]}')
    related = ', '.join(f'{photos.known_classes[label]} {share:.0%}'
                        for label, share in cluster.related)
    return f'{text}; like {related}'


def draw_clusters(clusters: Sequence[Cluster], photos: UnlabelledPhotos,
                  shown: int = 6) -> 'Figure':
    """Draw a row per cluster: its surest photos.

    Where labels are known, a photo of the cluster's most frequent class has a
    full frame and a tick, another one a dashed frame and a cross.

    Args:
        clusters (Sequence[Cluster]): At least one.
        photos (UnlabelledPhotos): With their files.
        shown (int): Photos of a cluster at most. Defaults to 6.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.
    """

    def panel(cluster: Cluster, place: int) -> Panel:
        index = cluster.photos[place]
        captions, frame = [], dict(frame=DARK)
        if cluster.majority is not None:
            label = int(photos.labels[index])
            right = label == cluster.majority
            captions = [(photos.novel_classes[label], DARK)]
            frame = dict(frame=GREEN if right else RED, dashed=not right,
                         sign='✓' if right else '✗')
        return Panel(
            read_rgb(photos.paths[index]),
            title='' if place else describe_cluster(cluster, photos),
            captions=[*captions, (f'{cluster.scores[place]:.2f}', GRAY)],
            **frame)

    return draw_grid(
        [[panel(cluster, place)
          for place in range(min(shown, len(cluster.photos)))]
         for cluster in clusters],
        cell=1.15, square=True,
        title='Clusters: the surest photos, with their probabilities')
