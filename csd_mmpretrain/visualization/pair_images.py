"""Images of confused classes, from the predictions and the training data."""
import os
from typing import Dict, List, Optional, Sequence

import numpy as np
from mmengine.config import Config

from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.datasets.samples import list_samples
from csd_mmpretrain.evaluation.confusion_pairs import ConfusedPair
from csd_mmpretrain.evaluation.predictions import Predictions

from .pairs_figure import PairImages
from .rgb_images import read_rgb

SIDE = 320


def pair_images(pairs: Sequence[ConfusedPair],
                predictions: Predictions,
                classes: Sequence[str],
                references: Dict[int, List[str]],
                shown: int = 4) -> List[PairImages]:
    """Load images of pairs of classes.

    Of the confused images, those with the highest score for the wrong class
    are shown.

    Args:
        pairs (Sequence[ConfusedPair]): Of ``worst_pairs``.
        predictions (Predictions): What they were counted from, with paths.
        classes (Sequence[str]): Names of the classes.
        references (dict[int, list[str]]): Image files of each class, of
            :func:`training_files`; where a class has none, its tested images
            serve.
        shown (int): Images of either class at most. Defaults to 4.

    Returns:
        list[PairImages]: One per pair.

    Raises:
        FileNotFoundError: If the predictions name no files, or a file is not
            there.
    """
    rows = []
    for pair in pairs:
        mine = np.flatnonzero((predictions.labels == pair.true)
                              & (predictions.predicted == pair.predicted))
        score = predictions.scores[mine, pair.predicted]
        mine = mine[np.argsort(-score, kind='stable')][:shown]
        others = references.get(pair.predicted) or [
            predictions.paths[i]
            for i in np.flatnonzero(predictions.labels == pair.predicted)
        ]
        title = (f'{classes[pair.true]}   taken for   '
                 f'{classes[pair.predicted]}:  {pair.count} of {pair.total}')
        if pair.reverse:
            title += f'   (the other way: {pair.reverse})'
        rows.append(
            PairImages(
                title, [_load(predictions.paths[i]) for i in mine],
                [f'{predictions.scores[i, pair.predicted]:.0%} against '
                 f'{predictions.scores[i, pair.true]:.0%}' for i in mine],
                [_load(path) for path in others[:shown]]))
    return rows


def training_files(cfg: Config) -> Dict[int, List[str]]:
    """List the training images of each class.

    Args:
        cfg (Config): The whole config.

    Returns:
        dict[int, list[str]]: Files by class; empty, if the training data is
        not on this machine.
    """
    try:
        dataset = build_without_pipeline(cfg.train_dataloader.dataset)
    except FileNotFoundError:
        return {}
    files = {}
    for path, label in list_samples(dataset):
        if path is not None and np.size(label) == 1:
            files.setdefault(int(label), []).append(path)
    return files


def _load(path: Optional[str]) -> np.ndarray:
    if path is None or not os.path.isfile(path):
        raise FileNotFoundError(
            f'The figure of the worst pairs needs the images, but {path!r} is '
            'no file here. Predict again on this machine, with a checkpoint '
            'in place of the result file.')
    return read_rgb(path, SIDE)
