"""Results of a suite: mean, deviation, paired difference; Markdown, CSV."""
import csv
from pathlib import Path
from statistics import mean, stdev
from typing import Dict, Iterable, List, NamedTuple, Sequence, Tuple

from .accuracy_runs import Job, Result
from .suite import Cell, Method, Suite

COLUMNS = ('method', 'seed', 'split', *Result._fields)


class Row(NamedTuple):
    """A method in the table.

    Attributes:
        method (Method): The method.
        scores (list[float]): Of its finished trainings, last epoch.
        deviation (float): Standard deviation of the scores; 0 of one.
        differences (list[float]): To the baseline, for the seeds and splits
            that both have; none in the row of the baseline.
        epochs (int): Epochs of a training.
        images (int): Images through the backbone in a training.
        seconds (float): Mean seconds of a training.
    """

    method: Method
    scores: List[float]
    deviation: float
    differences: List[float]
    epochs: int
    images: int
    seconds: float


def paired_interval(differences: Sequence[float]) -> Tuple[float, float]:
    """Give the mean of paired differences and its 95 % interval.

    Args:
        differences (Sequence[float]): Of two methods, one per seed.

    Returns:
        tuple[float, float]: The mean, and half the width of the interval. It
        is Student's, and infinite for one pair. In cross-validation the pairs
        share training images, and the interval is somewhat too narrow.

    Raises:
        ImportError: If scipy is missing.

    Example:
        >>> paired_interval([2., 2., 2.])
        (2.0, 0.0)
    """
    try:
        from scipy.stats import t
    except ImportError as error:
        raise ImportError('Intervals need scipy: '
                          'pip install "csd_mmpretrain[bench]".') from error
    n = len(differences)
    half = float('inf') if n < 2 else float(
        t.ppf(0.975, n - 1)) * stdev(differences) / n**0.5
    return mean(differences), half


def deviation(scores: Sequence[float]) -> float:
    """Give the standard deviation of scores.

    Args:
        scores (Sequence[float]): At least one.

    Returns:
        float: 0 for a single score.
    """
    return stdev(scores) if len(scores) > 1 else 0.


def interval_text(differences: Sequence[float]) -> str:
    """Write the mean of paired differences with its 95 % interval.

    Args:
        differences (Sequence[float]): Two or more.

    Returns:
        str: Such as ``'+2.00 (+1.50 to +2.50)'``.
    """
    middle, half = paired_interval(differences)
    return f'{middle:+.2f} ({middle - half:+.2f} to {middle + half:+.2f})'


def make_rows(suite: Suite, results: Dict[Cell, Result]) -> List[Row]:
    """Sum up the results of each method.

    Args:
        suite (Suite): The suite.
        results (dict[Cell, Result]): Of the finished trainings.

    Returns:
        list[Row]: The methods that have a result, in the suite's order.
    """
    by_method = {
        method.name: {
            cell[1:]: result
            for cell, result in results.items() if cell.method == method.name
        }
        for method in suite.methods
    }
    base = by_method[suite.baseline]
    rows = []
    for method in suite.methods:
        own = by_method[method.name]
        if not own:
            continue
        scores = [result.last for result in own.values()]
        differences = [] if own is base else [
            own[key].last - base[key].last for key in own if key in base
        ]
        first = next(iter(own.values()))
        rows.append(
            Row(method, scores,
                deviation(scores), differences,
                first.epochs, first.images,
                mean(result.seconds for result in own.values())))
    return rows


def format_rows(rows: Iterable[Row]) -> str:
    """Write rows as a Markdown table.

    Args:
        rows (Iterable[Row]): Of :func:`make_rows`.

    Returns:
        str: The table.
    """
    lines = [
        '| method | score, % (mean ± deviation) | runs | to the baseline '
        '(95 % interval) | epochs | images seen | min per run |',
        '| :--- | ---: | ---: | ---: | ---: | ---: | ---: |'
    ]
    for row in rows:
        lines.append(
            f'| {row.method.title} | {mean(row.scores):.2f} ± '
            f'{row.deviation:.2f} | {len(row.scores)} | '
            f'{_difference_text(row.differences)} | {row.epochs} | '
            f'{row.images} | {row.seconds / 60:.1f} |')
    return '\n'.join(lines)


def _difference_text(differences: Sequence[float]) -> str:
    if not differences:
        return ''
    if len(differences) < 2:
        return f'{differences[0]:+.2f} (one pair)'
    return interval_text(differences)


def write_csv(results: Dict[Cell, Result], path: Path) -> None:
    """Write one line per training.

    Args:
        results (dict[Cell, Result]): Of the finished trainings.
        path (Path): The file.
    """
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(COLUMNS)
        for cell, result in results.items():
            writer.writerow([
                f'{value:.2f}' if isinstance(value, float) else value
                for value in (*cell, *result)
            ])


def read_csv(path: Path) -> Dict[Cell, Result]:
    """Read what :func:`write_csv` has written.

    Args:
        path (Path): The file.

    Returns:
        dict[Cell, Result]: By training.

    Raises:
        ValueError: If its columns are others.
    """
    with open(path, newline='', encoding='utf-8') as file:
        lines = list(csv.reader(file))
    if not lines or tuple(lines[0]) != COLUMNS:
        raise ValueError(f'{path}: the first line must be '
                         f'{",".join(COLUMNS)}.')
    results = {}
    for method, seed, split, last, best, epochs, images, seconds in lines[1:]:
        cell = Cell(method, int(seed), int(split) if split else None)
        results[cell] = Result(float(last), float(best), int(epochs),
                               int(images), float(seconds))
    return results


def read_earlier(paths: Iterable[Path],
                 jobs: Iterable[Job]) -> Dict[Cell, Result]:
    """Read results of the same suite from other folders or machines.

    Args:
        paths (Iterable[Path]): Files that :func:`write_csv` has written; of a
            training that is in several, the last counts.
        jobs (Iterable[Job]): The suite's trainings.

    Returns:
        dict[Cell, Result]: By training.

    Raises:
        ValueError: If a method is none of the suite's, or a training of the
            suite has other epochs or images there.
    """
    jobs = {job.cell: job for job in jobs}
    methods = {cell.method for cell in jobs}
    results = {}
    for path in paths:
        for cell, result in read_csv(path).items():
            if cell.method not in methods:
                raise ValueError(
                    f'{path}: the suite has no method {cell.method!r}. Give '
                    'the results of this suite.')
            job = jobs.get(cell)
            if job and (job.epochs, job.images) != (result.epochs,
                                                    result.images):
                raise ValueError(
                    f'{path}: {cell.path} is of {result.epochs} epochs and '
                    f'{result.images} images, but in the suite it has '
                    f'{job.epochs} and {job.images}: another training. '
                    'Leave the file out.')
            results[cell] = result
    return results
