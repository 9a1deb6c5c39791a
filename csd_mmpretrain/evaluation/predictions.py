"""Predictions of a model: from a result file, or from a checkpoint."""
import os
from tempfile import TemporaryDirectory
from typing import List, NamedTuple, Optional, Tuple

import mmengine
import numpy as np
from mmengine.config import Config

from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.runtime.launch import launch
from csd_mmpretrain.runtime.run_options import (
    make_test_config,
    make_test_parser,
)

RESULT_FILES = ('.pkl', '.pickle')


class Predictions(NamedTuple):
    """Scores of N images for K classes.

    Attributes:
        scores (ndarray): (N, K), float32, probabilities.
        labels (ndarray): (N, ), int64, the true classes.
        paths (list[str | None]): The image files, where the results name
            them.
    """

    scores: np.ndarray
    labels: np.ndarray
    paths: List[Optional[str]]

    @property
    def predicted(self) -> np.ndarray:
        """ndarray: (N, ), int64, the classes of the highest scores."""
        return self.scores.argmax(1)


def load_predictions(config: str,
                     source: str,
                     options: Optional[dict] = None,
                     split: str = 'test') -> Predictions:
    """Read a result file, or let a checkpoint predict.

    Args:
        config (str): The config file.
        source (str): A result file of ``tools/test.py --out`` (.pkl), which
            is read as it is, or a checkpoint.
        options (dict, optional): Changes of the config by dotted key.
            Defaults to None.
        split (str): The images that the checkpoint predicts: those of the
            config's ``'test'`` or ``'val'`` dataloader. Defaults to
            ``'test'``.

    Returns:
        Predictions: One row per image.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the file holds no scores with one label per image.

    Example:
        ::

            found = load_predictions('config.py', 'predictions.pkl')
            accuracy = (found.predicted == found.labels).mean()
    """
    if is_result(source):
        return read_predictions(source)
    with TemporaryDirectory() as folder:
        args = make_test_parser().parse_args(
            [config, source, '--work-dir', folder])
        args.cfg_options = options
        cfg = make_test_config(args)
        # Or a second run in the same second would log into this folder.
        cfg.experiment_name = os.path.basename(folder)
        if split != 'test':
            cfg.test_dataloader.dataset = cfg[f'{split}_dataloader'].dataset
        out = os.path.join(folder, 'predictions.pkl')
        cfg.test_evaluator = dict(type='DumpResults', out_file_path=out)
        launch(cfg, lambda runner: runner.test())
        return read_predictions(out)


def is_result(source: str) -> bool:
    """Tell a result file from a checkpoint.

    Args:
        source (str): The file.

    Returns:
        bool: Whether its name is that of predictions.
    """
    return source.lower().endswith(RESULT_FILES)


def read_predictions(path: str) -> Predictions:
    """Read the predictions that ``tools/test.py --out`` has written.

    Args:
        path (str): The .pkl file.

    Returns:
        Predictions: One row per image.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no scores with one label per image.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'There is no result file {path!r}. Write one with `tools/test.py '
            f'CONFIG CHECKPOINT --out {path}`.')
    results = mmengine.load(path)
    if not isinstance(results, list) or not results or not all(
            map(_is_prediction, results)):
        raise ValueError(
            f'{path} does not hold predictions: a list with `pred_score` and '
            'one `gt_label` per image is expected. Write it with '
            '`tools/test.py CONFIG CHECKPOINT --out FILE.pkl`, where '
            '--out-item is not metrics.')
    scores = np.stack([np.asarray(r['pred_score'], np.float32)
                       for r in results])
    labels = np.array([np.asarray(r['gt_label']).item() for r in results])
    return Predictions(scores, labels, [r.get('img_path') for r in results])


def _is_prediction(result: object) -> bool:
    return (isinstance(result, dict) and 'pred_score' in result
            and result.get('gt_label') is not None
            and np.asarray(result['gt_label']).size == 1)


def class_names(cfg: Config, num_classes: int) -> Tuple[str, ...]:
    """Name the classes of a config's test data.

    Args:
        cfg (Config): The whole config.
        num_classes (int): How many classes the predictions have.

    Returns:
        tuple[str]: The names; numbers, if the data has no names or is not on
        this machine.

    Raises:
        ValueError: If the data has another number of classes.
    """
    numbers = tuple(map(str, range(num_classes)))
    try:
        dataset = build_without_pipeline(cfg.test_dataloader.dataset)
    except FileNotFoundError:
        return numbers
    classes = dataset.metainfo.get('classes')
    if classes is None:
        return numbers
    if len(classes) != num_classes:
        raise ValueError(
            f"The predictions are for {num_classes} classes, but the config's "
            f'test data has {len(classes)}. Give the config that they were '
            'made with.')
    return tuple(map(str, classes))
