"""Figure of queries and their nearest gallery images."""
from typing import TYPE_CHECKING, List, NamedTuple, Optional, Sequence

import numpy as np
import torch

from csd_mmpretrain.datasets.eval_images import spread
from csd_mmpretrain.evaluation.retrieval import split_protocol
from csd_mmpretrain.evaluation.similarity import nearest

from .image_grid import DARK, GRAY, GREEN, RED, Panel, draw_grid
from .rgb_images import read_rgb

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class RetrievalRow(NamedTuple):
    """A query and the gallery images that it finds, the nearest first.

    Attributes:
        query (int): Its index.
        found (ndarray): (k,), int64, their indices.
        cosines (ndarray): (k,), float32, their similarities.
        right (ndarray): (k,), bool, whether they are of the query's class.
    """

    query: int
    found: np.ndarray
    cosines: np.ndarray
    right: np.ndarray


def retrieval_rows(features: torch.Tensor,
                   labels: torch.Tensor,
                   num_train: int,
                   protocol: str,
                   num: int = 8,
                   shown: int = 5,
                   wrong_first: bool = False) -> List[RetrievalRow]:
    """Choose queries under a protocol, and find their nearest images.

    Args:
        features (Tensor): (N, C), floating: of the training images, then of
            the test images.
        labels (Tensor): (N,), int64.
        num_train (int): How many of them are training images.
        protocol (str): A name of
            :func:`~csd_mmpretrain.evaluation.retrieval.split_protocol`.
        num (int): Queries at most, evenly spread. Defaults to 8.
        shown (int): Gallery images per query at most. Defaults to 5.
        wrong_first (bool): Take queries whose nearest image is wrong first,
            by falling similarity, and none without an image of its class in
            the gallery. Defaults to False.

    Returns:
        list[RetrievalRow]: One per query.

    Raises:
        ValueError: If there is no such protocol, or no query.
    """
    split = split_protocol(protocol, num_train, len(labels) - num_train)
    device = features.device
    gallery, own = split.gallery.to(device), split.own
    shown = min(shown, len(gallery) - (own is not None))
    cosines, indices = nearest(
        features[split.queries.to(device)], features[gallery], shown,
        None if own is None else own.to(device))
    queries, gallery = split.queries.numpy(), split.gallery.numpy()
    found = gallery[indices.cpu().numpy()]
    cosines, labels = cosines.cpu().numpy(), labels.cpu().numpy()
    right = labels[found] == labels[queries][:, None]
    if wrong_first:
        order = np.lexsort((-cosines[:, 0], right[:, 0]))
        counts = np.bincount(labels[gallery], minlength=labels.max() + 1)
        possible = counts[labels[queries]] > (own is not None)
        order = order[possible[order]][:num]
    else:
        order = spread(len(found), num)
    return [RetrievalRow(int(queries[i]), found[i], cosines[i], right[i])
            for i in order]


def draw_retrieval(rows: Sequence[RetrievalRow],
                   paths: Sequence[str],
                   labels: Sequence[int],
                   title: str,
                   classes: Optional[Sequence[str]] = None) -> 'Figure':
    """Draw a row per query: the query, and what it finds.

    An image of the query's class has a full frame and a tick, another one a
    dashed frame and a cross.

    Args:
        rows (Sequence[RetrievalRow]): The queries.
        paths (Sequence[str]): The file of each image.
        labels (Sequence[int]): The class of each image.
        title (str): Above the figure.
        classes (Sequence[str], optional): Names of the classes. Defaults to
            None, their numbers.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.

    Raises:
        ValueError: If there is no row.
        FileNotFoundError: If an image has no file.
    """

    def panel(index: int, *lines: tuple, **frame: object) -> Panel:
        label = int(labels[index])
        name = f'class {label}' if classes is None else str(classes[label])
        return Panel(read_rgb(paths[index]), captions=[(name, DARK), *lines],
                     **frame)

    table = []
    for row in rows:
        found = [
            panel(index, (f'{cosine:.3f}', GRAY),
                  frame=GREEN if right else RED, sign='✓' if right else '✗',
                  dashed=not right)
            for index, cosine, right in zip(row.found, row.cosines, row.right)
        ]
        table.append([panel(row.query, frame=DARK), None, *found])
    ranks = range(1, 1 + max((len(row.found) for row in rows), default=0))
    return draw_grid(table, ['query', '', *map(str, ranks)], cell=1.15,
                     title=title, square=True)
