"""Scores, config and seed of a training, from its work directory."""
import json
import math
import re
from contextlib import suppress
from numbers import Real
from operator import attrgetter
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from mmengine.config import Config

SUFFIX = re.compile(r'(_?(seed|split|fold)\d+)+$')


class Run(NamedTuple):
    """A training that has been validated.

    Attributes:
        folder (Path): Its work directory.
        group (str): Name that repetitions share.
        seed (int, optional): ``randomness.seed``.
        images (str): Settings that select its training images: ``indices``,
            or those of a ``KFoldDataset``; empty for all.
        scores (dict[int, float]): By the validation's epoch (or iteration).
        planned (int): Epochs (or iterations) that the config asks for.
    """

    folder: Path
    group: str
    seed: Optional[int]
    images: str
    scores: Dict[int, float]
    planned: int

    @property
    def finished(self) -> bool:
        """Whether the last planned validation is there."""
        return max(self.scores) >= self.planned

    @property
    def last(self) -> float:
        """Score of the last validation."""
        return list(self.scores.values())[-1]

    @property
    def best(self) -> float:
        """Best score of all validations."""
        return max(self.scores.values())


def read_scores(folder: Path, metric: str) -> Dict[int, float]:
    """Read the scores of all validations by step, see :func:`read_run`."""
    scores = {}
    for attempt in _attempts(folder):
        scores = {step: score for step, score in scores.items()
                  if step < attempt.begin}
        scores.update((entry['step'], entry[metric])
                      for entry in attempt.entries if metric in entry)
    for step, score in scores.items():
        if not isinstance(score, Real) or not math.isfinite(score):
            raise ValueError(f'{folder}: the validation of step {step} has '
                             f'{metric} {score}, which is no finite number. '
                             'Leave the folder out.')
    return dict(sorted(scores.items()))


def score_names(folder: Path) -> List[str]:
    """List the names of all scores in a work directory, sorted."""
    names = {
        name for attempt in _attempts(folder) for entry in attempt.entries
        if 'iter' not in entry for name in entry
    }
    return sorted(names - {'step', 'time', 'data_time'})


class _Attempt(NamedTuple):
    """A start of a training: its folder, what it logged, its first step."""

    folder: Path
    entries: List[dict]
    begin: int


def _attempts(folder: Path) -> List[_Attempt]:
    """Read the attempts of a training that logged something, in their order.

    Folders are named after the clock, which may have been put back. So an
    attempt that goes on from a step follows one that has come so far.
    """
    left = []
    for log in sorted(Path(folder).glob('*/vis_data/scalars.json')):
        entries = []
        for line in log.read_text('utf-8', errors='replace').splitlines():
            # A power failure or a full disk cuts lines off.
            with suppress(json.JSONDecodeError):
                entries.append(json.loads(line))
        entries = [entry for entry in entries if isinstance(entry, dict)
                   and isinstance(entry.get('step'), int)]
        if entries:
            left.append(_Attempt(log.parent, entries, min(map(_place, entries))
                                 ))
    ordered, reached = [], 0
    while left:
        following = [one for one in left if one.begin <= reached + 1]
        attempt = (following or sorted(left, key=attrgetter('begin')))[0]
        left.remove(attempt)
        ordered.append(attempt)
        reached = max(reached, *map(_place, attempt.entries))
    return ordered


def _place(entry: dict) -> int:
    """Tell the epoch of an entry, or the iteration if those are counted."""
    return entry.get('epoch', entry['step'])


def read_run_config(folder: Path) -> Config:
    """Read the config of the newest attempt of a training."""
    folder = Path(folder)
    configs = sorted(folder.glob('*/vis_data/config.py'))
    configs += [attempt.folder / 'config.py'
                for attempt in _attempts(folder)[-1:]]
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
    """Read a training from its work directory.

    Args:
        folder (Path): A work directory.
        metric (str): Name of the score, such as ``'accuracy/top1'``.
        pattern (str, optional): A regular expression searched in the folder's
            path: its first group, or the whole match, names the training's
            group. Defaults to None: the name of the config, or of the parent
            folder for a config that is named after a seed, split or fold.

    Returns:
        Run: The training. An attempt replaces the scores of earlier ones from
        its first step on.

    Raises:
        FileNotFoundError: If the folder is missing or no work directory.
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
    return Run(folder, _group(folder, pattern),
               cfg.get('randomness', {}).get('seed'),
               _selection(cfg.train_dataloader.dataset), scores,
               train.get('max_epochs') or train.get('max_iters'))


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
    names = [config.stem for config in configs]
    # A test in the same folder writes NAME_test.py.
    names = [name for name in names
             if not (name.endswith('_test') and name[:-5] in names)]
    name = names[-1] if names else path.name
    return SUFFIX.sub('', name) or path.parent.name
