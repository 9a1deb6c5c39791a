"""The rows of a retrieval figure: which queries, and what they find."""
from typing import List, Optional, Sequence

import numpy as np
import torch

from csd_mmpretrain.datasets.eval_images import spread
from csd_mmpretrain.evaluation.retrieval import split_protocol
from csd_mmpretrain.evaluation.similarity import nearest

from .retrieval_figure import RetrievalRow, RetrievedImage
from .rgb_images import read_rgb

SIDE = 320


def retrieval_rows(features: torch.Tensor,
                   labels: torch.Tensor,
                   paths: Sequence[str],
                   num_train: int,
                   protocol: str,
                   classes: Optional[Sequence[str]] = None,
                   num: int = 8,
                   shown: int = 5,
                   wrong_first: bool = False) -> List[RetrievalRow]:
    """Choose queries under a protocol, and load what they find.

    Args:
        features (Tensor): (N, C), floating: of the training images, then of
            the test images.
        labels (Tensor): (N,), int64.
        paths (Sequence[str]): The file of each image.
        num_train (int): How many of them are training images.
        protocol (str): A name of
            :func:`~csd_mmpretrain.evaluation.retrieval.split_protocol`.
        classes (Sequence[str], optional): Names of the classes. Defaults to
            None, their numbers.
        num (int): Queries at most, evenly spread. Defaults to 8.
        shown (int): Gallery images per query at most. Defaults to 5.
        wrong_first (bool): Take queries whose nearest image is wrong first,
            those that are surest of it before others, and none that has no
            image of its class to find. Defaults to False.

    Returns:
        list[RetrievalRow]: One per query.

    Raises:
        ValueError: If there is no such protocol, or nothing to look for.
        FileNotFoundError: If an image has no file.
    """
    split = split_protocol(protocol, num_train, len(labels) - num_train)
    device = features.device
    gallery, own = split.gallery.to(device), split.own
    shown = min(shown, len(gallery) - (own is not None))
    cosines, indices = nearest(
        features[split.queries.to(device)], features[gallery], shown,
        None if own is None else own.to(device))
    found = gallery[indices].cpu().numpy()
    cosines, labels = cosines.cpu().numpy(), labels.cpu().numpy()
    right = labels[found] == labels[split.queries.numpy()][:, None]
    if wrong_first:
        order = np.lexsort((-cosines[:, 0], right[:, 0]))
        counts = np.bincount(
            labels[split.gallery.numpy()], minlength=labels.max() + 1)
        possible = counts[labels[split.queries.numpy()]] > (own is not None)
        order = order[possible[order]][:num]
    else:
        order = spread(len(found), num)

    def name(index: int) -> str:
        label = labels[index]
        return f'class {label}' if classes is None else str(classes[label])

    return [
        RetrievalRow(
            _read(paths[query]), name(query), [
                RetrievedImage(
                    _read(paths[index]), name(index), float(cosine),
                    bool(hit)) for index, cosine, hit in zip(
                        found[i], cosines[i], right[i])
            ]) for i, query in ((i, int(split.queries[i])) for i in order)
    ]


def _read(path: str) -> np.ndarray:
    if not path:
        raise FileNotFoundError('The figure shows image files, but the '
                                'dataset names none for an image. Give a '
                                'dataset of files.')
    return read_rgb(path, SIDE)
