"""From a classifier and its training images to a fitted matrix."""
from pathlib import Path
from typing import Any, Dict, Optional

import numpy as np
import torch
from rich.progress import track

from csd_mmpretrain.checkpoints.checkpoint_files import save_plain
from csd_mmpretrain.checkpoints.pretrained import read_checkpoint
from csd_mmpretrain.evaluation.feature_data import LabelledImages

from .disentanglement_matrix import DisentanglementMatrix
from .fit import (
    Prototypes,
    check_fit,
    condition_number,
    find_prototypes,
    fit_rounds,
)
from .fitted_epic import FittedEpic, weights_hash
from .pooled_classifier import PooledClassifier
from .prototype_schedule import num_prototypes
from .training_maps import TrainingMaps, collect_maps

# The paper's.
DEFAULTS = dict(
    kind='orthogonal',
    parametrization='exp',
    prototypes=[100, 5],
    rounds=10,
    schedule='linear',
    epochs=2,
    batch_size=512,
    lr=1e-3,
    weight_decay=1e-5,
    seed=0)
WORK_FILES = MAPS, NUMBERS, ROUNDS = 'maps.npy', 'maps.pth', 'rounds.pth'


def fit_classifier(classifier: PooledClassifier,
                   images: LabelledImages,
                   preprocessing: str,
                   folder: Path,
                   settings: Optional[Dict[str, Any]] = None) -> FittedEpic:
    """Fit the matrix of a classifier; go on where an earlier fit was stopped.

    While it runs, the folder holds ``maps.npy`` and ``maps.pth`` (the maps),
    and ``rounds.pth`` (the last finished round). It prints what it needs
    before it starts, and at the end whether predictions are unchanged.

    Args:
        classifier (PooledClassifier): It stays as it is.
        images (LabelledImages): The training images.
        preprocessing (str): See
            :func:`~csd_mmpretrain.methods.epic.fitted_epic.preprocessing_of`.
        folder (Path): It exists.
        settings (dict, optional): What differs from ``DEFAULTS``. Defaults to
            None.

    Returns:
        FittedEpic: With the prototypes of the last round's number.

    Raises:
        ValueError: If the settings are impossible, images have no files, or
            the folder holds the fit of something else.
    """
    settings = {**DEFAULTS, **(settings or {})}
    counts = num_prototypes(*settings['prototypes'], settings['rounds'],
                            settings['schedule'])
    check_fit(len(images.paths), counts, settings['epochs'],
              settings['batch_size'])
    _check_files(images)
    device = classifier.weight.device
    matrix = DisentanglementMatrix(
        classifier.weight.size(1), settings['kind'],
        settings['parametrization']).to(device)
    if classifier.cosine and not matrix.orthogonal:
        raise ValueError(
            'ArcFaceClsHead takes cosines, which an invertible matrix does '
            'not keep. Use `--kind orthogonal`.')
    key = dict(classifier=weights_hash(classifier.model),
               preprocessing=preprocessing, files=images.paths)
    data = _training_maps(classifier, images, folder, key)
    _print_memory(data.maps, settings)
    sums = data.sums.to(device)
    before = find_prototypes(data.maps, sums, matrix, counts[-1])
    dead_before = sums.amax(0) <= 0
    state = _rounds(data.maps, sums, matrix, counts, settings, key,
                    folder / ROUNDS)
    after = find_prototypes(data.maps, sums, matrix, counts[-1])
    mixing, _ = matrix.both()
    means = sums / data.maps[0, 0].numel()
    unchanged = compare_logits(classifier, matrix, means,
                               data.logits.to(device))
    number = condition_number(matrix)
    if number > 1e4:
        print(f'Warning: the condition number of the matrix is {number:.1e}; '
              'its inverse is inexact.')
    low, high = (found.purity.mean().item() for found in (before, after))
    print(f'purity {low:.3f} -> {high:.3f}')
    if high <= low:
        print('Warning: the purity did not rise. Take more pairs in a step '
              '(--batch-size), or a lower --lr.')
    print(unchanged)
    return FittedEpic(
        classifier=key['classifier'],
        preprocessing=preprocessing,
        settings=settings,
        matrix=matrix,
        files=images.paths,
        labels=[int(info['gt_label'])
                for info in images.loader.dataset.infos],
        classes=list(map(str, images.classes
                         or range(len(classifier.weight)))),
        grid=tuple(data.maps.shape[2:]),
        before=_on_cpu(before),
        after=_on_cpu(after),
        dead_before=dead_before.cpu(),
        dead_after=((sums @ mixing.mT).amax(0) <= 0).cpu(),
        curve=state['curve'],
        unchanged=unchanged)


@torch.no_grad()
def compare_logits(classifier: PooledClassifier,
                   matrix: DisentanglementMatrix, means: torch.Tensor,
                   logits: torch.Tensor) -> str:
    """Compare the logits after the matrix with the classifier's own.

    Args:
        classifier (PooledClassifier): The classifier.
        matrix (DisentanglementMatrix): U.
        means (Tensor): Means of the maps before U, (N, D).
        logits (Tensor): The classifier's own, (N, K).

    Returns:
        str: How many predictions are equal, and the largest difference.
    """
    mixing, inverse = matrix.both()
    found = (classifier.pooled(means @ mixing.mT)
             @ (classifier.weight @ inverse).mT + classifier.bias)
    equal = int((found.argmax(1) == logits.argmax(1)).sum())
    return (f'unchanged: {equal} of {len(logits)} predictions equal, largest '
            f'logit difference {(found - logits).abs().max():.1e}')


def _check_files(images: LabelledImages) -> None:
    lacking = images.paths.count('')
    if lacking:
        raise ValueError(
            f'{lacking} of {len(images.paths)} training images have no file, '
            'so a prototype could not be drawn. Give a dataset whose images '
            'are files.')


def _training_maps(classifier: PooledClassifier, images: LabelledImages,
                   folder: Path, key: dict) -> TrainingMaps:
    numbers = folder / NUMBERS
    if numbers.is_file():
        content = read_checkpoint(str(numbers))
        _check_key(content, key, numbers)
        try:
            found = np.lib.format.open_memmap(folder / MAPS, 'r+')
        except (OSError, ValueError) as error:
            raise ValueError(f'{folder / MAPS} does not load: {error}. Fit '
                             'anew with --overwrite.') from None
        maps = TrainingMaps(torch.from_numpy(found), content['sums'],
                            content['logits'])
        print(f'Read the maps of {folder / MAPS}')
        return maps
    data = collect_maps(classifier, images, folder / MAPS)
    save_plain(dict(key=key, sums=data.sums, logits=data.logits),
               str(numbers))
    return data


def _check_key(content: dict, expected: dict, path: Path) -> None:
    found = content.get('key') or {}
    different = [name for name in expected
                 if found.get(name) != expected[name]]
    if different:
        raise ValueError(
            f'{path} belongs to a fit with other {" and ".join(different)}. '
            'Choose another folder with --out, or fit anew with '
            '--overwrite.')


def _rounds(maps: torch.Tensor, sums: torch.Tensor,
            matrix: DisentanglementMatrix, counts: list, settings: dict,
            key: dict, path: Path) -> dict:
    """Fit the matrix in place; return the last state."""
    key = dict(key, settings=settings)
    state = None
    if path.is_file():
        content = read_checkpoint(str(path))
        _check_key(content, key, path)
        state = content['state']
        print(f'Going on after round {state["round"]} of {path}')
    done = 0 if state is None else state['round']
    options = {name: settings[name] for name in (
        'epochs', 'batch_size', 'lr', 'weight_decay', 'seed')}
    rounds = fit_rounds(maps, sums, matrix, counts, state=state, **options)
    for state in track(rounds, 'Rounds', total=len(counts), completed=done):
        save_plain(dict(key=key, state=state), str(path))
    return state


def _print_memory(maps: torch.Tensor, settings: dict) -> None:
    images, dim = maps.shape[:2]
    # The exponential's backward pass takes matrices of 2D x 2D.
    squares = 60 if settings['parametrization'] == 'exp' else 16
    size = 4 * (6 * images * dim + squares * dim**2 + 3 * 4096 * dim)
    print(f'The fit needs up to {size / 1e6:.0f} MB of memory')


def _on_cpu(prototypes: Prototypes) -> Prototypes:
    return Prototypes(*(values.cpu() for values in prototypes))
