"""Predictions of a model: from a result file, or from a checkpoint."""
import os
from tempfile import TemporaryDirectory
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np
from mmengine.config import Config

from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.runtime.launch import launch
from csd_mmpretrain.runtime.run_options import (
    make_test_config,
    make_test_parser,
)
from csd_mmpretrain.utils.plain_files import load_plain
from csd_mmpretrain.utils.wording import first_names

RESULT_FILES = ('.json', '.pkl', '.pickle')


class Predictions(NamedTuple):
    """Scores of N images for K classes.

    Attributes:
        scores (ndarray): (N, K), float32, probabilities.
        labels (ndarray): (N,), int64, the true classes.
        paths (list[str | None]): The image files, where they are known.
    """

    scores: np.ndarray
    labels: np.ndarray
    paths: List[Optional[str]]

    @property
    def predicted(self) -> np.ndarray:
        """ndarray: (N,), int64, the classes of the highest scores."""
        return self.scores.argmax(1)


def load_predictions(config: str,
                     source: str,
                     options: Optional[dict] = None,
                     split: str = 'test') -> Predictions:
    """Read a result file, or predict with a checkpoint.

    Args:
        config (str): The config file.
        source (str): Result file of ``tools/test.py --out`` (.json or
            .pkl), or checkpoint.
        options (dict, optional): Changes of the config by dotted key.
            Defaults to None.
        split (str): Which images the checkpoint predicts: ``'test'`` or
            ``'val'``. Defaults to ``'test'``.

    Returns:
        Predictions: One row per image.

    Raises:
        FileNotFoundError, ValueError: As :func:`read_predictions`.

    Example:
        ::

            found = load_predictions('config.py', 'predictions.json')
            accuracy = (found.predicted == found.labels).mean()
    """
    if source.lower().endswith(RESULT_FILES):
        return read_predictions(source)
    with TemporaryDirectory() as folder:
        args = make_test_parser().parse_args(
            [config, source, '--work-dir', folder])
        args.cfg_options = options
        cfg = make_test_config(args)
        # Otherwise a second run in the same second would log into `folder`.
        cfg.experiment_name = os.path.basename(folder)
        if split != 'test':
            cfg.test_dataloader.dataset = cfg[f'{split}_dataloader'].dataset
        out = os.path.join(folder, 'predictions.json')
        # Accuracy needs a label of each image, as all readers do.
        cfg.test_evaluator = [dict(type='Accuracy'),
                              dict(type='DumpPredictions', path=out)]
        launch(cfg, lambda runner: runner.test())
        return read_predictions(out)


def read_predictions(path: str) -> Predictions:
    """Read a result file.

    Args:
        path (str): A file of ``tools/test.py --out``, .json or .pkl.

    Returns:
        Predictions: One row per image.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has no finite scores with one label per image.
    """
    results = load_plain(path)
    if not (isinstance(results, list) and results
            and all(map(_is_prediction, results))):
        raise ValueError(
            f'{path} does not hold predictions: a list with `pred_score` and '
            'one `gt_label` per image is expected. Write it with '
            '`tools/test.py CONFIG CHECKPOINT --out FILE.json`, where '
            '--out-item is not metrics.')
    scores = np.stack([np.asarray(r['pred_score'], np.float32)
                       for r in results])
    bad = [index for index, row in enumerate(np.isfinite(scores).all(1))
           if not row]
    if bad:
        names = [str(results[i].get('img_path') or f'row {i}') for i in bad]
        raise ValueError(
            f'{path}: the scores of {len(bad)} of {len(scores)} images are '
            f'not finite, such as those of {first_names(names, 3)}. They are '
            'no predictions; the checkpoint or these images are broken.')
    labels = np.array([np.asarray(r['gt_label']).item() for r in results])
    if not 0 <= labels.min() <= labels.max() < scores.shape[1]:
        raise ValueError(
            f'{path}: the labels go from {labels.min()} to {labels.max()}, '
            f'but the scores are of {scores.shape[1]} classes. Predict with '
            'the config of the checkpoint.')
    return Predictions(scores, labels, [r.get('img_path') for r in results])


def _is_prediction(result: Any) -> bool:
    return (isinstance(result, dict) and 'pred_score' in result
            and result.get('gt_label') is not None
            and np.asarray(result['gt_label']).size == 1)


def class_names(cfg: Config, num_classes: int) -> Tuple[str, ...]:
    """Name the classes of a config's test data.

    Args:
        cfg (Config): The whole config.
        num_classes (int): Number of classes of the predictions.

    Returns:
        tuple[str]: The names; numbers, if the data has none or is not here.

    Raises:
        ValueError: If the data has another number of classes.
    """
    try:
        dataset = build_without_pipeline(cfg.test_dataloader.dataset)
        classes = dataset.metainfo.get('classes')
    except FileNotFoundError:
        classes = None
    if classes is None:
        classes = range(num_classes)
    if len(classes) != num_classes:
        raise ValueError(
            f"The predictions are for {num_classes} classes, but the config's "
            f'test data has {len(classes)}. Give the config that they were '
            'made with.')
    return tuple(map(str, classes))
