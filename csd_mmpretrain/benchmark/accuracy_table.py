"""Results of a suite as Markdown, CSV and a plot."""
import csv
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Dict, Iterable, Iterator, List, Tuple

from csd_mmpretrain.utils.tables import markdown_table, write_table
from csd_mmpretrain.visualization.figure_fonts import with_fonts

from .accuracy_runs import Job, Result, make_result
from .suite import Cell, Method, Suite
from .summary import Summary, half_interval, summarize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADER = ('method', 'score, % (mean ± deviation)', 'runs',
          'to the baseline (95 % interval)', 'epochs', 'images seen',
          'min per run')
COLUMNS = (*Cell._fields, *Result._fields)


def summarize_suite(
        suite: Suite,
        results: Dict[Cell, Result]) -> List[Tuple[Method, Summary]]:
    """Summarize the last scores of the methods that have a result."""
    scores = {method.name: {} for method in suite.methods}
    for cell, result in results.items():
        scores[cell.method][cell[1:]] = result.last
    found = summarize(scores, suite.baseline)
    return [(method, found[method.name]) for method in suite.methods
            if method.name in found]


def format_suite(suite: Suite, results: Dict[Cell, Result]) -> str:
    """Write a Markdown table with a row for each method that has a result."""
    rows = []
    for method, summary in summarize_suite(suite, results):
        own = [r for cell, r in results.items() if cell.method == method.name]
        rows.append((method.title, summary.text, len(own),
                     _difference_text(summary), own[0].epochs, own[0].images,
                     f'{mean(r.seconds for r in own) / 60:.1f}'))
    return markdown_table(HEADER, rows)


def _difference_text(summary: Summary) -> str:
    if not summary.differences:
        return ''
    if len(summary.differences) < 2:
        return f'{summary.differences[0]:+.2f} (one pair)'
    return summary.interval_text


def plot_suite(suite: Suite, results: Dict[Cell, Result], path: Path) -> None:
    """Plot the differences of the methods to the baseline.

    A dot for each seed and split, a diamond for the mean, and its 95 %
    interval for three pairs or more. Raises ImportError without matplotlib.
    """
    try:
        figure = _draw_differences(suite, results)
    except ImportError as error:
        raise ImportError('The plot needs matplotlib: '
                          'pip install "csd_mmpretrain[bench]".') from error
    figure.savefig(path, dpi=130)


@with_fonts
def _draw_differences(suite: Suite, results: Dict[Cell, Result]) -> 'Figure':
    from matplotlib.figure import Figure
    baseline = next(method.title for method in suite.methods
                    if method.name == suite.baseline)
    rows = [(method.title, summary.differences)
            for method, summary in summarize_suite(suite, results)
            if summary.differences]
    figure = Figure(figsize=(7, 1 + 0.25 * len(rows)), layout='constrained')
    axes = figure.add_subplot()
    axes.axvline(0, lw=0.8, ls='--', color='tab:gray')
    for place, (_, differences) in enumerate(rows):
        axes.plot(differences, [place] * len(differences), 'o', ms=4,
                  alpha=0.5, mew=0, color='tab:blue')
        axes.errorbar(
            mean(differences), place, fmt='D', ms=6, capsize=3,
            xerr=half_interval(differences) if len(differences) > 2 else None,
            color='tab:blue')
    axes.set_yticks(
        range(len(rows)),
        [f'{title} ({len(differences)})' for title, differences in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f'{suite.metric}: points above {baseline}\n'
                    '(in brackets: pairs of seeds or splits)')
    axes.grid(axis='x', lw=0.4)
    axes.spines[['top', 'right']].set_visible(False)
    return figure


def write_csv(results: Dict[Cell, Result], path: Path) -> None:
    """Write one line per training, with the columns of cell and result."""
    write_table(path, COLUMNS, [[
        f'{value:.2f}' if isinstance(value, float) else value
        for value in (*cell, *result)
    ] for cell, result in results.items()])


def _read_csv(path: Path) -> Iterator[Tuple[str, Cell, Result]]:
    """Read the lines: where they are, the training, and its result."""
    with open(path, newline='', encoding='utf-8-sig') as file:
        lines = csv.DictReader(file, restkey='more')
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise ValueError(f'{path}: the first line must be '
                             f'{",".join(COLUMNS)}.')
        for line in lines:
            place = f'{path}, line {lines.line_num},'
            method, seed, split = (line.pop(name) for name in Cell._fields)
            result = make_result(place, line)
            if not all(map(str.isdecimal, filter(None, (seed or '-', split)))):
                raise ValueError(f'{place} has the seed {seed!r} and the '
                                 f'split {split!r}. Whole numbers are '
                                 'expected, or none for the split.')
            yield place, Cell(
                method, int(seed), int(split) if split else None), result


def read_earlier(paths: Iterable[Path],
                 jobs: Iterable[Job]) -> Dict[Cell, Result]:
    """Read results of the same suite from other folders or machines.

    Args:
        paths (Iterable[Path]): Files of :func:`write_csv`; for a training
            that is in several, the last counts. They may have other seeds.
        jobs (Iterable[Job]): The suite's trainings.

    Returns:
        dict[Cell, Result]: By training.

    Raises:
        ValueError: If a file has other columns, a method or split that is
            not in the suite, a training with other epochs or images, twice
            the same training, or something else than numbers.
    """
    # Trainings that differ in the seed alone have equally many images.
    jobs = {(job.cell.method, job.cell.split): job for job in jobs}
    results = {}
    for path in paths:
        own = {}
        for place, cell, result in _read_csv(path):
            job = jobs.get((cell.method, cell.split))
            if job is None:
                raise ValueError(
                    f'{place} is of {cell.path}, but the suite has no such '
                    'method or split. Give the results of this suite.')
            if (job.epochs, job.images) != (result.epochs, result.images):
                raise ValueError(
                    f'{place} is {cell.path} of {result.epochs} epochs and '
                    f'{result.images} images, but in the suite it has '
                    f'{job.epochs} and {job.images}: another training. '
                    'Leave the file out.')
            if cell in own:
                raise ValueError(f'{place} is {cell.path} again. Leave one '
                                 'of the two lines out.')
            own[cell] = result
        results.update(own)
    return results
