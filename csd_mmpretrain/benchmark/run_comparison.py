"""Comparison of trainings: several configs, several seeds of each."""
from statistics import stdev
from typing import Dict, Hashable, List, Sequence, Tuple

from .run_logs import Run
from .summary import Summary, summarize

SCORES = ('last', 'best')
HEADER = ('config', 'runs', 'score, % (mean ± deviation)', 'least', 'most',
          'best epoch', 'to the baseline (95 % interval)', 'paired t-test')


def group_runs(runs: Sequence[Run]) -> Dict[str, Dict[Hashable, Run]]:
    """Gather runs by group, in the order in which groups appear.

    Args:
        runs (Sequence[Run]): Of ``read_run``.

    Returns:
        dict[str, dict[Hashable, Run]]: By name, then by seed and images.

    Raises:
        ValueError: If a group has two runs of one seed on the same images.
    """
    groups = {}
    for run in runs:
        members = groups.setdefault(run.group, {})
        # A run without a seed pairs with no other.
        key = (run.folder if run.seed is None else run.seed, run.images)
        if key in members:
            raise ValueError(
                f'{members[key].folder} and {run.folder} are both '
                f'{run.group!r} with seed {run.seed}. Leave one out, or part '
                'them with --group PATTERN, a regular expression on the path.')
        members[key] = run
    return groups


def comparison_rows(groups: Dict[str, Dict[Hashable, Run]],
                    baseline: str,
                    score: str = 'last') -> List[Tuple[str, ...]]:
    """Summarize groups, and compare each with the baseline.

    Args:
        groups (dict[str, dict[Hashable, Run]]): Of :func:`group_runs`.
        baseline (str): One of their names.
        score (str): ``'last'``, of the last validation, or ``'best'``, which
            is chosen on the data it scores. Defaults to ``'last'``.

    Returns:
        list[tuple[str]]: A row below :data:`HEADER` for each group.

    Raises:
        ValueError: If there is no such group.
        ImportError: If there are pairs and scipy is missing.
    """
    if baseline not in groups:
        raise ValueError(f'--baseline {baseline!r} is none of the groups '
                         f'{", ".join(groups)}.')
    scores = {
        name: {key: getattr(run, score) for key, run in members.items()}
        for name, members in groups.items()
    }
    rows = []
    for name, summary in summarize(scores, baseline).items():
        scores = summary.scores
        epochs = [max(run.scores, key=run.scores.get)
                  for run in groups[name].values()]
        low, high = min(epochs), max(epochs)
        rows.append((
            name, str(len(scores)), summary.text,
            f'{min(scores):.2f}', f'{max(scores):.2f}',
            str(low) if low == high else f'{low} to {high}',
            *_difference(summary)))
    return rows


def _difference(summary: Summary) -> Tuple[str, str]:
    differences = summary.differences
    if differences is None:
        return 'baseline', ''
    if not differences:
        return 'no seed in common', ''
    if len(differences) == 1:
        return f'{differences[0]:+.2f}, one seed in common: no interval', ''
    text = summary.interval_text  # names the extra where scipy is missing
    if stdev(differences) == 0:
        test = 'all differences equal'
    else:
        from scipy.stats import ttest_1samp

        p = float(ttest_1samp(differences, 0).pvalue)
        test = 'p < 0.001' if p < 0.001 else f'p = {p:.3f}'
    return text, f'{test} ({len(differences)} pairs)'
