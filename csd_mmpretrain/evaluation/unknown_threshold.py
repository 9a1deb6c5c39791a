"""A threshold below which an answer is "unknown"."""
import json
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from csd_mmpretrain.checkpoints.pretrained import file_hash
from csd_mmpretrain.utils.plain_files import load_plain


class UnknownThreshold(NamedTuple):
    """A threshold of the highest probability, and its measured rates.

    Attributes:
        threshold (float): Answers with a lower probability are "unknown".
        known (int): Photos of known classes that it was chosen on.
        false_reject (float): Fraction of them that are called unknown.
        unknown (int): Photos of other things; 0 if there were none.
        false_accept (float | None): Fraction of them that are not called
            unknown.
        auroc (float | None): Probability that a photo of a known class
            scores higher than one of another thing.
    """

    threshold: float
    known: int
    false_reject: float
    unknown: int = 0
    false_accept: Optional[float] = None
    auroc: Optional[float] = None


def choose_threshold(known: np.ndarray,
                     false_reject: float,
                     unknown: Optional[np.ndarray] = None
                     ) -> UnknownThreshold:
    """Choose the highest threshold that rejects few known photos.

    Args:
        known (ndarray): (N,), floating, the highest probability of each
            validation photo of a known class.
        false_reject (float): The largest fraction of them that may be called
            unknown, between 0 and 1.
        unknown (ndarray, optional): (M,), the same of photos of other
            things, which only measure the rate of false accepts. Defaults to
            None.

    Returns:
        UnknownThreshold: The threshold is one of the known scores.

    Raises:
        ValueError: If the fraction is less than one photo.

    Source: Hendrycks and Gimpel, A baseline for detecting misclassified and
    out-of-distribution examples in neural networks, 2017 (the highest
    softmax probability). The rule of choice is this project's.

    Example:
        >>> choose_threshold(np.array([.9, .5, .8, .7]), 0.25).threshold
        0.7
    """
    known = np.sort(known)
    most = int(false_reject * len(known) + 1e-9)
    if not 1 <= most < len(known):
        raise ValueError(
            f'{100 * false_reject:g} % of {len(known)} validation photos is '
            f'{most} photos, which supports no threshold. Give at least '
            f'{int(np.ceil(1 / false_reject)) if false_reject else "some"} '
            'photos, or another --false-reject, between 0 and 1.')
    threshold = float(known[most])
    rejected = float((known < threshold).mean())
    if unknown is None or not len(unknown):
        return UnknownThreshold(threshold, len(known), rejected)
    # The rank statistic of Mann and Whitney; ties count half.
    below = np.searchsorted(known, unknown, 'right')
    ties = below - np.searchsorted(known, unknown, 'left')
    auroc = 1 - (below - ties / 2).mean() / len(known)
    return UnknownThreshold(
        threshold, len(known), rejected, len(unknown),
        float((unknown >= threshold).mean()), float(auroc))


def save_threshold(path: str, chosen: UnknownThreshold,
                   checkpoint: str) -> None:
    """Write a threshold with the hash of the checkpoint that it is for."""
    Path(path).write_text(
        json.dumps(dict(chosen._asdict(), checkpoint=file_hash(checkpoint)),
                   indent=1) + '\n', encoding='utf-8')


def load_threshold(text: str, checkpoint: str) -> float:
    """Read a threshold: a number, or a file of :func:`save_threshold`.

    Args:
        text (str): A number between 0 and 1, or the name of a .json file.
        checkpoint (str): The file of the model that it is used with.

    Returns:
        float: The threshold.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the number is another, or the file is none of these or
            of another checkpoint.
    """
    if not text.lower().endswith('.json'):
        try:
            number = float(text)
        except ValueError:
            number = np.nan
        if not 0 <= number <= 1:
            raise ValueError(
                f'--unknown-below {text}: expected a probability between 0 '
                'and 1, or a .json file of '
                'tools/analysis_tools/unknown_threshold.py.')
        return number
    if not Path(text).is_file():
        raise FileNotFoundError(
            f'--unknown-below: there is no file {text!r}. Write one with '
            '`tools/analysis_tools/unknown_threshold.py CONFIG CHECKPOINT '
            '--out FILE.json`.')
    found = load_plain(text)
    number = found.get('threshold') if isinstance(found, dict) else None
    if not isinstance(number, float) or not 0 <= number <= 1:
        raise ValueError(f'{text} holds no threshold between 0 and 1. Write '
                         'one with tools/analysis_tools/unknown_threshold.py.')
    own = file_hash(checkpoint)
    if found.get('checkpoint') != own:
        raise ValueError(
            f'{text} was chosen for the checkpoint with the SHA-256 '
            f'{found.get("checkpoint")}..., but {checkpoint} has {own}.... '
            'A threshold holds for one model: choose it anew with '
            'tools/analysis_tools/unknown_threshold.py.')
    return number
