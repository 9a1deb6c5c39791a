"""All that features are judged by, in one table."""
from statistics import mean, stdev
from typing import Dict, List, NamedTuple, Sequence, Tuple

import torch

from csd_mmpretrain.datasets.label_fraction import fraction_indices

from .features import LabelledFeatures
from .knn import KS, TEMPERATURE, knn_scores
from .linear_probe import linear_probe
from .retrieval import PROTOCOLS, NothingToFindError, evaluate_protocol

HEADER = ('evaluation', 'training images', 'tested images',
          'top-1 or Rank-1', 'top-5 or Rank-5', 'mAP')
FRACTIONS = (0.01, 0.05, 0.1, 0.2, 0.5, 1.)
SEEDS = (0, 1, 2)


class FeatureTable(NamedTuple):
    """Cells under ``HEADER``, numbers in per cent, and notes below them."""

    rows: List[List[str]]
    notes: List[str]


def feature_table(train: LabelledFeatures,
                  test: LabelledFeatures,
                  ks: Sequence[int] = KS,
                  temperature: float = TEMPERATURE,
                  protocols: Sequence[str] = PROTOCOLS,
                  fractions: Sequence[float] = FRACTIONS,
                  seeds: Sequence[int] = SEEDS) -> FeatureTable:
    """Evaluate features by kNN, retrieval and linear probes.

    Args:
        train (LabelledFeatures): Of the training images.
        test (LabelledFeatures): Of the test images, on the same device.
        ks (Sequence[int]): Neighbors of kNN. Defaults to (10, 20, 100, 200).
        temperature (float): Of kNN. Defaults to 0.07.
        protocols (Sequence[str]): Of retrieval. Defaults to all three.
        fractions (Sequence[float]): Of the training labels for the linear
            probe. Defaults to 1, 5, 10, 20, 50 and 100 %.
        seeds (Sequence[int]): Of the choice of images. Defaults to (0, 1, 2).

    Returns:
        FeatureTable: Fractions that choose the same images share a row. Notes
        name the k that exceed the training set, and protocols under which no
        query can find its class; these have no row. Test images of unseen
        classes have neither kNN nor probes.

    Raises:
        ValueError: For a wrong protocol or fraction, or infinite features.

    Example:
        ::

            table = feature_table(train, test, ks=(10, 20))
            print(markdown_table(HEADER, table.rows))
    """
    table = FeatureTable([], [])
    unseen = not torch.isin(test.labels, train.labels).any()
    if not unseen:
        _add_knn(table, train, test, ks, temperature)
    _add_retrieval(table, train, test, protocols)
    if unseen:
        table.notes.append('No test image is of a class of the training '
                           'images, so kNN and linear probes are left out.')
    else:
        _add_probes(table, train, test, fractions, seeds)
    return table


def _add_knn(table: FeatureTable, train: LabelledFeatures,
             test: LabelledFeatures, ks: Sequence[int],
             temperature: float) -> None:
    size = len(train.labels)
    fitting = [k for k in ks if k <= size]
    if fitting:
        found = knn_scores(test, train, fitting, temperature)
        table.rows.extend([
            f'kNN, k = {k}', f'{size}', f'{len(test.labels)}',
            _percent([scores.top1]), _percent([scores.top5]), ''
        ] for k, scores in found.items())
    table.notes.extend(
        f'kNN with k = {k} is left out: there are {size} training images.'
        for k in ks if k > size)


def _add_retrieval(table: FeatureTable, train: LabelledFeatures,
                   test: LabelledFeatures, protocols: Sequence[str]) -> None:
    rows = []
    for protocol in protocols:
        try:
            scores = evaluate_protocol(protocol, train, test)
        except NothingToFindError:
            table.notes.append(
                f'Retrieval, {protocol}, is left out: no query has an image '
                'of its class in the gallery.')
            continue
        rows.append([
            f'retrieval, {protocol}', f'{scores.gallery} (gallery)',
            f'{scores.queries} (queries)', _percent([scores.recall[1]]),
            _percent([scores.recall[5]]), _percent([scores.mean_ap])
        ])
        if scores.left_out:
            table.notes.append(
                f'Retrieval, {protocol}: {scores.left_out} queries have no '
                'image of their class in the gallery and do not count.')
    table.rows.extend(rows)
    if len(rows) > 1:
        table.notes.append('The retrieval protocols have other queries and '
                           'galleries, so their numbers are not comparable.')


def _add_probes(table: FeatureTable, train: LabelledFeatures,
                test: LabelledFeatures, fractions: Sequence[float],
                seeds: Sequence[int]) -> None:
    groups: Dict[Tuple[Tuple[int, ...], ...], List[float]] = {}
    for fraction in sorted(fractions):
        parts = [
            tuple(fraction_indices(train.labels.tolist(), fraction, seed))
            for seed in seeds
        ]
        if len(set(parts)) == 1:
            parts = parts[:1]
        groups.setdefault(tuple(parts), []).append(fraction)
    for parts, shared in groups.items():
        names = ', '.join(f'{100 * fraction:g}' for fraction in shared)
        size = len(parts[0])
        if len(shared) > 1:
            table.notes.append(f'{names} % of the labels are the same {size} '
                               'images, as each class gives at least one.')
        found = [
            linear_probe(
                LabelledFeatures(*(x[list(part)] for x in train)), test)
            for part in parts
        ]
        table.rows.append([
            f'linear probe on fixed features, {names} % of the labels',
            f'{size}', f'{len(test.labels)}',
            _percent([scores.top1 for scores in found]),
            _percent([scores.top5 for scores in found]), ''
        ])
    if groups:
        table.notes.append(
            'The linear probe is logistic regression on features of images '
            'that are not augmented, its penalty chosen by cross-validation '
            'on the training images.')
    if any(len(parts) > 1 for parts in groups):
        table.notes.append(
            'Of parts of the labels, mean and standard deviation over '
            f'{len(seeds)} choices of the images.')


def _percent(values: Sequence[float]) -> str:
    values = [100 * value for value in values]
    spread = f' ± {stdev(values):.1f}' if len(values) > 1 else ''
    return f'{mean(values):.1f}{spread}'
