"""Predictions of image files that have no label."""
import os
from pathlib import Path
from typing import (
    Callable,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
)

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.model import BaseModel
from torch.utils.data import DataLoader, Dataset, default_collate

from csd_mmpretrain.datasets.annotation_list import read_text
from csd_mmpretrain.datasets.eval_images import find_images
from csd_mmpretrain.datasets.image_files import image_fault
from csd_mmpretrain.datasets.photos import read_rows
from csd_mmpretrain.utils.wording import first_names

UNKNOWN = 'unknown'


class PhotoScores(NamedTuple):
    """Scores of N files for K classes.

    Attributes:
        paths (list[str]): The files.
        scores (ndarray): (N, K), float32, probabilities; nan for a file that
            is no whole image.
        faults (list[str]): What is wrong with each file; ``''`` if nothing.
    """

    paths: List[str]
    scores: np.ndarray
    faults: List[str]


def list_photos(source: str) -> List[str]:
    """List the image files of a folder, a list or a table.

    Args:
        source (str): A folder, which is searched; a text file with a path in
            each line (.txt); a table with a column ``path`` (.csv); or an
            image. Paths are relative to the folder of the file.

    Returns:
        list[str]: The files; whether those that are listed exist is open.

    Raises:
        FileNotFoundError: If there is no such file, or no image in the
            folder.
        ValueError: If nothing is listed, or the table has no such column.
    """
    kind = Path(source).suffix.lower()
    if os.path.isdir(source) or kind not in ('.txt', '.csv'):
        if not os.path.exists(source):
            raise FileNotFoundError(
                f'There is no {source!r}. Give a folder of photos, a .txt '
                'with a path in each line, a .csv with a column `path`, or a '
                'photo.')
        return find_images([source], num=10**9)
    if kind == '.csv':
        lines = [row['path'] or '' for _, row in read_rows(source, ['path'])]
    else:
        lines = read_text(source, 'Save it as text in UTF-8.').splitlines()
    names = [line for line in map(str.strip, lines) if line]
    if not names:
        raise ValueError(f'{source} lists no photo. Write a path in each '
                         'line.')
    return [os.path.join(os.path.dirname(source), name) for name in names]


class _Photos(Dataset):
    """Loads files; gives the fault in place of one that does not load."""

    def __init__(self, paths: Sequence[str], pipeline: Compose) -> None:
        self.paths = paths
        self.pipeline = pipeline

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple:
        path = self.paths[index]
        fault = image_fault(path)
        if fault is None:
            try:
                return index, self.pipeline(dict(img_path=path)), ''
            except Exception:  # a decoder raises anything
                fault = 'damaged'
        return index, None, fault


def _collate(items: List[tuple]) -> tuple:
    loaded = [item for _, item, _ in items if item is not None]
    batch = dict(
        inputs=default_collate([item['inputs'] for item in loaded]),
        data_samples=[item['data_samples'] for item in loaded]
    ) if loaded else None
    return ([index for index, item, _ in items if item is not None], batch,
            {index: fault for index, _, fault in items if fault})


def score_photos(model: BaseModel,
                 pipeline: Compose,
                 paths: Sequence[str],
                 batch_size: int = 32,
                 num_workers: int = 0,
                 track: Optional[Callable[[Iterable], Iterable]] = None
                 ) -> PhotoScores:
    """Predict files in batches, which workers load.

    Args:
        model (BaseModel): A classifier with its weights, in evaluation mode.
        pipeline (Compose): Of the test; it makes images of one size.
        paths (Sequence[str]): The files.
        batch_size (int): Files in a batch. Defaults to 32.
        num_workers (int): Processes that load. Defaults to 0, this one.
        track (Callable, optional): Shows the progress over the batches, such
            as ``rich.progress.track``. Defaults to None.

    Returns:
        PhotoScores: In the order of ``paths``.

    Raises:
        ValueError: If no file is a whole image.
        FloatingPointError: If a score is not finite.

    Example:
        ::

            model, classes, _ = load_model(cfg, 'epoch_10.pth')
            found = score_photos(model, eval_pipeline(cfg), ['a.jpg'])
    """
    batches: Iterable = DataLoader(
        _Photos(paths, pipeline), batch_size, num_workers=num_workers,
        collate_fn=_collate)
    scores, faults = None, [''] * len(paths)
    for indices, batch, broken in track(batches) if track else batches:
        for index, fault in broken.items():
            faults[index] = fault
        if batch is None:
            continue
        with torch.no_grad():
            samples = model.test_step(batch)
        found = torch.stack([sample.pred_score for sample in samples])
        if not found.isfinite().all():
            names = first_names([str(paths[index]) for index in indices], 3)
            raise FloatingPointError(
                f'The scores of some of these photos are not finite, so they '
                f'are no prediction: {names}. Give another checkpoint.')
        if scores is None:
            scores = np.full((len(paths), found.size(1)), np.nan, np.float32)
        scores[indices] = found.cpu().numpy()
    if scores is None:
        raise ValueError(
            f'None of the {len(paths)} files is a whole image: '
            f'{first_names([f"{p} ({f})" for p, f in zip(paths, faults)], 3)}'
            '. Give others.')
    return PhotoScores(list(paths), scores, faults)


def check_names(classes: Sequence[str],
                allowed: Optional[Sequence[str]]) -> None:
    """Check the names of the classes that may be answered.

    Args:
        classes (Sequence[str]): Those of the model.
        allowed (Sequence[str], optional): Those allowed; None allows all.

    Raises:
        ValueError: If an allowed class is none of the model's, or there is
            none.
    """
    lost = [name for name in allowed or () if name not in classes]
    if lost or allowed is not None and not allowed:
        found = first_names(lost, 5) if lost else 'of an empty list'
        raise ValueError(
            f'The model knows no class {found}. It knows {len(classes)}: '
            f'{first_names(list(classes), 10)}. Write names of these.')


def answer_rows(found: PhotoScores,
                classes: Sequence[str],
                top: int,
                allowed: Optional[Sequence[str]] = None,
                threshold: Optional[float] = None) -> Iterator[list]:
    """Write an answer for each file as a row below :func:`answer_header`.

    Args:
        found (PhotoScores): Of all classes.
        classes (Sequence[str]): Their names.
        top (int): How many of the best classes to name.
        allowed (Sequence[str], optional): Names of the classes that may be
            answered, see :func:`check_names`. Scores stay those among all
            classes. Defaults to None, all.
        threshold (float, optional): The answer is 'unknown' if the best
            score is below. Defaults to None, never.

    Yields:
        list: File, answer, the best classes and their scores, and the fault
        of a file without an answer.

    """
    names = np.asarray([str(name) for name in classes])
    numbers = np.arange(len(names)) if allowed is None else np.flatnonzero(
        np.isin(names, allowed))
    top = min(top, len(numbers))
    part = found.scores[:, numbers]
    best = np.argsort(-part, axis=1, kind='stable')[:, :top]
    for path, fault, row, order in zip(found.paths, found.faults, part, best):
        if fault:
            yield [path, '', *[''] * (2 * top), fault]
            continue
        low = threshold is not None and row[order[0]] < threshold
        cells = [cell for i in order
                 for cell in (names[numbers[i]], f'{row[i]:.4f}')]
        yield [path, UNKNOWN if low else cells[0], *cells, '']


def answer_header(top: int) -> List[str]:
    """Name the columns of :func:`answer_rows`.

    Example:
        >>> answer_header(1)
        ['file', 'answer', 'class_1', 'score_1', 'fault']
    """
    ranks = [f'{name}_{i + 1}' for i in range(top)
             for name in ('class', 'score')]
    return ['file', 'answer', *ranks, 'fault']
