"""Comparison of trainings: several configs, several seeds of each."""
from statistics import mean, stdev
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from .accuracy_table import deviation, interval_text
from .run_logs import Run

SCORES = ('last', 'best')
HEADER = ('config', 'runs', 'score, % (mean ± deviation)', 'least', 'most',
          'best epoch', 'to the baseline (95 % interval)', 'paired t-test')


class GroupSummary(NamedTuple):
    """What the runs of one config came to.

    Attributes:
        name (str): The group.
        scores (list[float]): One per run.
        deviation (float): Standard deviation; 0 of one.
        best_epochs (list[int]): Step of each run's best score, the first of
            equal ones.
        differences (list[float], optional): To the baseline, for the seeds
            (and parts of the images) that both have; None for the baseline.
    """

    name: str
    scores: List[float]
    deviation: float
    best_epochs: List[int]
    differences: Optional[List[float]]


def group_runs(runs: Sequence[Run]) -> Dict[str, List[Run]]:
    """Gather runs by group, in the order in which groups appear.

    Args:
        runs (Sequence[Run]): Of ``read_run``.

    Returns:
        dict[str, list[Run]]: By name.

    Raises:
        ValueError: If a group has two runs of one seed on the same images.
    """
    groups = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    for name, members in groups.items():
        seen = {}
        for run in members:
            key = _key(run)
            if key is not None and key in seen:
                raise ValueError(
                    f'{seen[key]} and {run.folder} are both {name!r} with '
                    f'seed {run.seed}. Leave one out, or part them with '
                    '--group PATTERN, a regular expression on the path.')
            seen[key] = run.folder
    return groups


def _key(run: Run) -> Optional[Tuple]:
    return None if run.seed is None else (run.seed, run.images)


def summarise_groups(groups: Dict[str, List[Run]],
                     baseline: str,
                     score: str = 'last') -> List[GroupSummary]:
    """Sum up groups, and compare each with the baseline.

    Args:
        groups (dict[str, list[Run]]): Of :func:`group_runs`.
        baseline (str): One of their names.
        score (str): ``'last'``, of the last validation, or ``'best'``, which
            chooses on the data it scores. Defaults to ``'last'``.

    Returns:
        list[GroupSummary]: In order.

    Raises:
        ValueError: If there is no such group or kind of score.
    """
    if baseline not in groups:
        raise ValueError(f'--baseline {baseline!r} is none of the groups '
                         f'{", ".join(groups)}.')
    if score not in SCORES:
        raise ValueError(f'score={score!r}, expected one of {SCORES}.')

    def value(run: Run) -> float:
        steps = list(run.scores.values())
        return steps[-1] if score == 'last' else max(steps)

    base = {_key(run): value(run) for run in groups[baseline]}
    base.pop(None, None)
    rows = []
    for name, runs in groups.items():
        scores = [value(run) for run in runs]
        rows.append(
            GroupSummary(
                name, scores, deviation(scores),
                [max(run.scores, key=run.scores.get) for run in runs],
                None if name == baseline else [
                    value(run) - base[_key(run)] for run in runs
                    if _key(run) in base
                ]))
    return rows


def summary_table(rows: Sequence[GroupSummary]) -> List[Tuple[str, ...]]:
    """Write summaries as the cells of a table with :data:`HEADER`.

    Args:
        rows (Sequence[GroupSummary]): Of :func:`summarise_groups`.

    Returns:
        list[tuple[str]]: One row per group.

    Raises:
        ImportError: If there are pairs and scipy is missing.
    """
    return [(row.name, str(len(row.scores)),
             f'{mean(row.scores):.2f} ± {row.deviation:.2f}'
             if len(row.scores) > 1 else f'{row.scores[0]:.2f}',
             f'{min(row.scores):.2f}', f'{max(row.scores):.2f}',
             _range(row.best_epochs), *_difference(row.differences))
            for row in rows]


def _range(epochs: Sequence[int]) -> str:
    low, high = min(epochs), max(epochs)
    return str(low) if low == high else f'{low} to {high}'


def _difference(differences: Optional[List[float]]) -> Tuple[str, str]:
    if differences is None:
        return 'baseline', ''
    if not differences:
        return 'no seed in common', ''
    if len(differences) == 1:
        return (f'{differences[0]:+.2f}, one seed in common: no interval', '')
    return (interval_text(differences),
            f'{_p_text(differences)} ({len(differences)} pairs)')


def _p_text(differences: Sequence[float]) -> str:
    if stdev(differences) == 0:
        return 'all differences equal'
    from scipy.stats import ttest_1samp

    # That of the differences is the paired test.
    p = float(ttest_1samp(differences, 0).pvalue)
    return 'p < 0.001' if p < 0.001 else f'p = {p:.3f}'
