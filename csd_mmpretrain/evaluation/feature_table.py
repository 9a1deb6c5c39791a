"""All that features are judged by, in one table."""
from statistics import mean, stdev
from typing import List, NamedTuple, Sequence

import torch

from csd_mmpretrain.datasets.label_fraction import fraction_indices

from .feature_metric import LabelledFeatures
from .knn import KS, TEMPERATURE, knn_scores
from .linear_probe import ProbeScores, linear_probe
from .retrieval import (
    PROTOCOLS,
    can_find,
    check_protocol,
    evaluate_protocol,
    split_protocol,
)

HEADER = ('evaluation', 'training images', 'tested images',
          'top-1 or Rank-1', 'top-5 or Rank-5', 'mAP')
FRACTIONS = (0.01, 0.05, 0.1, 0.2, 0.5, 1.)
SEEDS = (0, 1, 2)


class FeatureTable(NamedTuple):
    """Rows of a table, and what must be said about them.

    Attributes:
        rows (list[list[str]]): Cells under ``HEADER``; numbers in per cent,
            with their standard deviation where there are several seeds.
        notes (list[str]): A sentence each: what was left out, and which
            fractions are the same images.
    """

    rows: List[List[str]]
    notes: List[str]


def feature_table(train: LabelledFeatures,
                  test: LabelledFeatures,
                  ks: Sequence[int] = KS,
                  temperature: float = TEMPERATURE,
                  protocols: Sequence[str] = PROTOCOLS,
                  fractions: Sequence[float] = FRACTIONS,
                  seeds: Sequence[int] = SEEDS) -> FeatureTable:
    """Judge features by kNN, retrieval and linear probes.

    Args:
        train (LabelledFeatures): Of the training images.
        test (LabelledFeatures): Of the test images, on the same device.
        ks (Sequence[int]): Neighbours of kNN; those larger than the training
            set are left out, and a note says so. Defaults to (10, 20, 100,
            200).
        temperature (float): Of kNN. Defaults to 0.07.
        protocols (Sequence[str]): Of retrieval; those under which no query
            can find its class are left out, and a note says so. Defaults to
            all three.
        fractions (Sequence[float]): Parts of the training labels for the
            linear probe. Those that choose the same images share a row.
            Defaults to 1, 5, 10, 20, 50 and 100 %.
        seeds (Sequence[int]): Of the choice of images. Defaults to (0, 1, 2).

    Returns:
        FeatureTable: The rows and notes.

    Raises:
        ValueError: If a protocol or a fraction is wrong, or features are not
            finite.

    Example:
        ::

            table = feature_table(train, test, ks=(10, 20))
            print(markdown_table(HEADER, table.rows))
    """
    rows, notes = [], []
    for part, found in (_knn(train, test, ks, temperature),
                        _retrieval(train, test, protocols),
                        _probes(train, test, fractions, seeds)):
        rows += part
        notes += found
    return FeatureTable(rows, notes)


def _knn(train: LabelledFeatures, test: LabelledFeatures, ks: Sequence[int],
         temperature: float) -> FeatureTable:
    fitting = [k for k in ks if k <= len(train.labels)]
    found = (knn_scores(*test, *train, fitting, temperature)
             if fitting else {})
    rows = [[
        f'kNN, k = {k}', f'{len(train.labels)}', f'{len(test.labels)}',
        _percent([scores.top1]), _percent([scores.top5]), ''
    ] for k, scores in found.items()]
    notes = [
        f'kNN with k = {k} is left out: there are {len(train.labels)} '
        'training images.' for k in ks if k not in found
    ]
    return FeatureTable(rows, notes)


def _retrieval(train: LabelledFeatures, test: LabelledFeatures,
               protocols: Sequence[str]) -> FeatureTable:
    rows, notes = [], []
    for protocol in protocols:
        if not _can_find(protocol, train.labels, test.labels):
            notes.append(
                f'Retrieval, {protocol}, is left out: no query has an image '
                'of its class in the gallery.')
            continue
        scores = evaluate_protocol(protocol, *train, *test)
        rows.append([
            f'retrieval, {protocol}', f'{scores.gallery} (gallery)',
            f'{scores.queries} (queries)', _percent([scores.rank1]),
            _percent([scores.rank5]), _percent([scores.mean_ap])
        ])
        if scores.left_out:
            notes.append(
                f'Retrieval, {protocol}: {scores.left_out} queries have no '
                'image of their class in the gallery and do not count.')
    if len(rows) > 1:
        notes.append('The retrieval protocols have other queries and '
                     'galleries, so their numbers are not comparable.')
    return FeatureTable(rows, notes)


def _can_find(protocol: str, train: torch.Tensor,
              test: torch.Tensor) -> bool:
    """Whether a query has an image of its class, other than itself."""
    check_protocol(protocol)
    try:
        split = split_protocol(protocol, len(train), len(test))
    except ValueError:  # nothing to look for
        return False
    return can_find(split, torch.cat([train, test]).cpu())


def _probes(train: LabelledFeatures, test: LabelledFeatures,
            fractions: Sequence[float], seeds: Sequence[int]) -> FeatureTable:
    """Fit a probe for each part, and one alone where parts are the same."""
    rows, notes, groups = [], [], []
    for fraction in sorted(fractions):
        chosen = [
            fraction_indices(train.labels.tolist(), fraction, seed)
            for seed in seeds
        ]
        if all(indices == chosen[0] for indices in chosen):
            chosen = chosen[:1]
        if groups and groups[-1][1] == chosen:
            groups[-1][0].append(fraction)
        else:
            groups.append(([fraction], chosen))
    for shared, chosen in groups:
        names = ', '.join(f'{100 * fraction:g}' for fraction in shared)
        size = len(chosen[0])
        if len(shared) > 1:
            notes.append(f'{names} % of the labels are the same {size} '
                         'images, as each class gives at least one.')
        found = [_probe(train, test, indices) for indices in chosen]
        rows.append([
            f'linear probe on fixed features, {names} % of the labels',
            f'{size}', f'{len(test.labels)}',
            _percent([scores.top1 for scores in found]),
            _percent([scores.top5 for scores in found]), ''
        ])
    if groups:
        notes.append(
            'The linear probe is logistic regression on features of images '
            'that are not augmented, its penalty chosen by cross-validation '
            'on the training images.')
    if any(len(chosen) > 1 for _, chosen in groups):
        notes.append('Of parts of the labels, mean and standard deviation '
                     f'over {len(seeds)} choices of the images.')
    return FeatureTable(rows, notes)


def _probe(train: LabelledFeatures, test: LabelledFeatures,
           indices: Sequence[int]) -> ProbeScores:
    chosen = torch.tensor(indices)
    return linear_probe(train.features[chosen.to(train.features.device)],
                        train.labels[chosen.to(train.labels.device)], *test)


def _percent(values: Sequence[float]) -> str:
    values = [100 * value for value in values]
    spread = f' ± {stdev(values):.1f}' if len(values) > 1 else ''
    return f'{mean(values):.1f}{spread}'
