"""Cross-validation of one config: its folds, and what they came to."""
import sys
from pathlib import Path
from statistics import mean
from typing import Dict, List, Optional, Sequence

from .accuracy_runs import Job, Result
from .accuracy_table import deviation
from .suite import Cell, Method, cell_config, load_method

HEADER = ('fold', 'score, %', 'best, %', 'epochs', 'minutes')


def fold_jobs(config: str,
              work_dir: Path,
              num_splits: int,
              seed: int = 0,
              metric: str = 'accuracy/top1',
              validate: bool = True,
              options: Optional[dict] = None) -> List[Job]:
    """Make the configs of the folds.

    Each fold is held out once, the others are trained on; every class is
    spread over all folds. Only training images are used.

    Args:
        config (str): The config file.
        work_dir (Path): The folder of the folds.
        num_splits (int): How many folds.
        seed (int): Of the division into folds. Defaults to 0. That of the
            trainings is the config's.
        metric (str): The validation's name of the score. Defaults to
            ``'accuracy/top1'``.
        validate (bool): Validate as often as the config says, or only after
            the last epoch. Defaults to True.
        options (dict, optional): New values by dotted key. Defaults to None.

    Returns:
        list[Job]: One per fold.

    Raises:
        ValueError: If a class has fewer images than there are folds, images
            cannot be left out of the training data, or the config does not
            count epochs or has no validation.
    """
    name = Path(config).stem
    cfg, labels = load_method(Method(name, name, config, options or {}))
    epochs = cfg.train_cfg.get('max_epochs')
    if not epochs or cfg.get('val_dataloader') is None:
        raise ValueError(f'{config}: cross-validation needs '
                         'train_cfg.max_epochs and a val_dataloader, whose '
                         'pipeline the held-out images go through.')
    if not validate:
        cfg.train_cfg.val_interval = epochs
    train_seed = cfg.get('randomness', {}).get('seed') or 0
    jobs = []
    for fold in range(num_splits):
        cell = Cell(name, train_seed, fold)
        fold_cfg, images = cell_config(cfg, labels, cell,
                                       dict(num=num_splits, seed=seed))
        jobs.append(
            Job(cell, fold_folder(work_dir, fold), work_dir / f'fold{fold}.py',
                fold_cfg.pretty_text, epochs, images, metric))
    return jobs


def fold_folder(work_dir: Path, fold: int) -> Path:
    """Tell where a fold is trained.

    Args:
        work_dir (Path): The folder of the folds.
        fold (int): Its number.

    Returns:
        Path: Its work directory.
    """
    return work_dir / f'fold{fold}'


def launch_command(launcher: str, processes: int) -> List[str]:
    """Give what starts the processes of one training.

    Args:
        launcher (str): ``'none'``, ``'pytorch'``, ``'slurm'`` (inside an
            allocation) or ``'mpi'``.
        processes (int): How many.

    Returns:
        list[str]: The start of a command line; the program's path follows.

    Example:
        >>> launch_command('mpi', 2)[:3]
        ['mpirun', '-n', '2']
    """
    return {
        'none': [sys.executable],
        'pytorch': [
            sys.executable, '-m', 'torch.distributed.run', '--standalone',
            f'--nproc_per_node={processes}'
        ],
        'slurm':
        ['srun', f'--ntasks={processes}', '--kill-on-bad-exit=1',
         sys.executable],
        'mpi': ['mpirun', '-n', str(processes), sys.executable],
    }[launcher]


def fold_rows(results: Dict[int, Result]) -> List[Sequence[str]]:
    """Write the folds and their mean as the cells of a table.

    Args:
        results (dict[int, Result]): Of the finished folds.

    Returns:
        list[Sequence[str]]: Rows for :data:`HEADER`.
    """
    rows = [(str(fold), f'{result.last:.2f}', f'{result.best:.2f}',
             str(result.epochs), f'{result.seconds / 60:.1f}')
            for fold, result in sorted(results.items())]
    summary = summarise_folds(results)
    return [
        *rows,
        ('mean ± deviation', *(f'{summary[f"{key}_mean"]:.2f} ± '
                               f'{summary[f"{key}_deviation"]:.2f}'
                               for key in ('last', 'best')), '', '')
    ]


def summarise_folds(results: Dict[int, Result]) -> Dict[str, float]:
    """Compute mean and standard deviation over the folds.

    Args:
        results (dict[int, Result]): Of the finished folds, at least one.

    Returns:
        dict[str, float]: ``last_mean``, ``last_deviation``, ``best_mean`` and
        ``best_deviation``; a deviation of one fold is 0. The folds share
        training images, so it says little of another data set.
    """
    summary = {}
    for key in ('last', 'best'):
        scores = [getattr(result, key) for result in results.values()]
        summary[f'{key}_mean'] = mean(scores)
        summary[f'{key}_deviation'] = deviation(scores)
    return summary
