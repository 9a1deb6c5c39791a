"""What a training has left in its work directory: scores, config, seed."""
import json
import math
import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional

from mmengine.config import Config

SUFFIX = re.compile(r'(_?(seed|split|fold)\d+)+$')


class Run(NamedTuple):
    """A training that has been validated.

    Attributes:
        folder (Path): Its work directory.
        group (str): What it is a repetition of.
        seed (int, optional): ``randomness.seed``; None if it had none.
        images (str): What selects its training images, in
            cross-validation: ``indices``, or fold and seed of a
            ``KFoldDataset``; empty for all images.
        scores (dict[int, float]): By the epoch (or iteration) of the
            validation, ascending.
        planned (int): Epochs (or iterations) that the config asks for.
        finished (bool): Whether the last validation that it asks for is
            there.
    """

    folder: Path
    group: str
    seed: Optional[int]
    images: str
    scores: Dict[int, float]
    planned: int
    finished: bool


def read_scores(folder: Path, metric: str) -> Dict[int, float]:
    """Read the validations' scores from the logs of all attempts.

    A line that a power failure or a full disk has cut off is left out.

    Args:
        folder (Path): A work directory.
        metric (str): The validation's name of the score, such as
            ``'accuracy/top1'``.

    Returns:
        dict[int, float]: By step, ascending. What an attempt trained anew
        counts in the place of the earlier attempts' scores, from its first
        step on. Empty without a validation.
    """
    scores = {}
    for entries in _attempts(folder):
        begin = min(
            (entry.get('epoch', entry['step']) for entry in entries),
            default=math.inf)
        scores = {
            step: score for step, score in scores.items() if step < begin
        }
        scores.update((entry['step'], entry[metric]) for entry in entries
                      if metric in entry)
    return {step: scores[step] for step in sorted(scores)}


def score_names(folder: Path) -> List[str]:
    """List the scores that the validations of a training have.

    Args:
        folder (Path): A work directory.

    Returns:
        list[str]: The names, sorted.
    """
    names = {
        name for entries in _attempts(folder) for entry in entries
        if 'iter' not in entry for name in entry
    }
    return sorted(names - {'step', 'time', 'data_time'})


def _attempts(folder: Path) -> Iterator[List[dict]]:
    for log in sorted(Path(folder).glob('*/vis_data/scalars.json')):
        yield [entry for entry in _entries(log) if 'step' in entry]


def _entries(log: Path) -> Iterator[dict]:
    text = log.read_text(encoding='utf-8', errors='replace')
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def read_run_config(folder: Path) -> Config:
    """Read the config that the newest attempt of a training ran with.

    Args:
        folder (Path): A work directory.

    Returns:
        Config: The whole config.

    Raises:
        FileNotFoundError: If the folder is not there, or is no work directory
            of a training.
    """
    folder = Path(folder)
    configs = sorted(folder.glob('*/vis_data/config.py'))
    if not configs:
        raise FileNotFoundError(
            f'{str(folder)!r} is ' +
            ('no work directory of a training: it has no '
             '*/vis_data/config.py.' if folder.is_dir() else 'no folder.') +
            ' Give folders that tools/train.py has written (--work-dir).')
    return Config.fromfile(configs[-1], import_custom_modules=False)


def read_run(folder: Path,
             metric: str,
             pattern: Optional[str] = None) -> Run:
    """Read a training.

    Args:
        folder (Path): Its work directory.
        metric (str): The validation's name of the score.
        pattern (str, optional): A regular expression that is searched in the
            folder's path: its first group, or all it matches, names the
            training's group. Defaults to None: the name of the config, or of
            the parent folder for a config that is named after a seed, split
            or fold.

    Returns:
        Run: The training.

    Raises:
        FileNotFoundError: If the folder is no work directory.
        ValueError: If it has no such score, or the pattern does not match.
    """
    folder = Path(folder)
    cfg = read_run_config(folder)
    scores = read_scores(folder, metric)
    if not scores:
        raise ValueError(
            f'{folder}: no validation has the score {metric!r}. Name another '
            'with --metric, or leave the folder out.')
    train = cfg.train_cfg
    planned = train.get('max_epochs') or train.get('max_iters')
    return Run(folder, _group(folder, pattern),
               cfg.get('randomness', {}).get('seed'),
               _selection(cfg.train_dataloader.dataset), scores, planned,
               max(scores) >= planned)


def _selection(dataset: dict) -> str:
    keys = ['indices']
    if 'fold' in dataset:
        keys += ['fold', 'num_splits', 'seed']
    inner = dataset.get('datasets') or dataset.get('dataset') or []
    found = [f'{key}={dataset[key]}' for key in keys
             if dataset.get(key) is not None]
    found += map(_selection, [inner] if isinstance(inner, dict) else inner)
    return ' '.join(filter(None, found))


def _group(folder: Path, pattern: Optional[str]) -> str:
    path = folder.resolve()
    if pattern is not None:
        found = re.search(pattern, path.as_posix())
        if found is None:
            raise ValueError(f'--group {pattern!r} matches nothing in '
                             f'{path.as_posix()}.')
        return found.group(1 if found.re.groups else 0)
    configs = sorted(path.glob('*.py'), key=lambda p: p.stat().st_mtime)
    name = configs[-1].stem if configs else path.name
    return SUFFIX.sub('', name) or path.parent.name
