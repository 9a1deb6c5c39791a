"""Figure of confused classes, with their images side by side."""
from typing import TYPE_CHECKING, Dict, List, Sequence

import numpy as np
from mmengine.config import Config

from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.datasets.samples import list_samples
from csd_mmpretrain.evaluation.confusion_pairs import ConfusedPair
from csd_mmpretrain.evaluation.predictions import Predictions

from .image_grid import BLUE, DARK, RED, Panel, draw_grid
from .rgb_images import read_rgb

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_pairs(pairs: Sequence[ConfusedPair],
               predictions: Predictions,
               classes: Sequence[str],
               references: Dict[int, List[str]],
               shown: int = 4) -> 'Figure':
    """Draw a row per pair: confused images, and those they are taken for.

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
        Figure: Ready for ``figure.savefig(path, dpi=...)``.

    Raises:
        ValueError: If there is no pair.
        FileNotFoundError: If an image has no file.
    """
    scores, paths = predictions.scores, predictions.paths
    rows = []
    for pair in pairs:
        mine = np.flatnonzero((predictions.labels == pair.true)
                              & (predictions.predicted == pair.predicted))
        order = np.argsort(-scores[mine, pair.predicted], kind='stable')
        others = references.get(pair.predicted) or [
            paths[i]
            for i in np.flatnonzero(predictions.labels == pair.predicted)
        ]
        title = (f'{classes[pair.true]}   taken for   '
                 f'{classes[pair.predicted]}:  {pair.count} of {pair.total}')
        if pair.reverse:
            title += f'   (the other way: {pair.reverse})'
        taken = [
            Panel(read_rgb(paths[i]), frame=RED, captions=[
                (f'{scores[i, pair.predicted]:.0%} against '
                 f'{scores[i, pair.true]:.0%}', DARK)])
            for i in mine[order][:shown]
        ]
        other = [Panel(read_rgb(path), frame=BLUE) for path in others[:shown]]
        taken[0] = taken[0]._replace(title=title)
        if other:
            other[0] = other[0]._replace(title=classes[pair.predicted])
        rows.append((taken, other))
    left = max((len(taken) for taken, _ in rows), default=0)
    return draw_grid(
        [[*taken, *[None] * (1 + left - len(taken)), *other]
         for taken, other in rows],
        cell=1.15, square=True,
        note='red: images of the true class, taken for the other; blue: '
        'images of the other class; below an image: score of the other class '
        'against that of its own')


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
    for sample in list_samples(dataset):
        if sample.path is not None and np.size(sample.label) == 1:
            files.setdefault(int(sample.label), []).append(sample.path)
    return files
