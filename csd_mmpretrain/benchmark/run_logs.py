"""What a training has left in its work directory: scores, config, seed."""
import json
import re
from pathlib import Path
from typing import Dict, Iterator, NamedTuple, Optional, Tuple

from mmengine.config import Config

SUFFIX = re.compile(r'(_?(seed|split|fold)\d+)+$')


class Run(NamedTuple):
    """A training that has been validated.

    Attributes:
        folder (Path): Its work directory.
        group (str): What it is a repetition of.
        seed (int, optional): ``randomness.seed``; None if it had none.
        images (tuple[int], optional): Indices of the images that it was
            trained on, in cross-validation.
        scores (dict[int, float]): By the epoch (or iteration) of the
            validation, ascending.
        planned (int): Epochs (or iterations) that the config asks for.
        finished (bool): Whether the last validation that it asks for is
            there.
    """

    folder: Path
    group: str
    seed: Optional[int]
    images: Optional[Tuple[int, ...]]
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
        dict[int, float]: By step, ascending; of a step that was validated
        again after a resume, the later score. Empty without a validation.
    """
    scores = {}
    for log in sorted(Path(folder).glob('*/vis_data/scalars.json')):
        for entry in _entries(log):
            if metric in entry:
                scores[entry['step']] = entry[metric]
    return {step: scores[step] for step in sorted(scores)}


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
    images = cfg.train_dataloader.dataset.get('indices')
    return Run(folder, _group(folder, pattern),
               cfg.get('randomness', {}).get('seed'),
               tuple(images) if isinstance(images, (list, tuple)) else None,
               scores, planned,
               max(scores) >= planned)


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
