"""What explains one prediction: parts of a photo, and parts like them."""
from dataclasses import dataclass, field
from typing import List, Optional, Tuple

import numpy as np


@dataclass
class Patch:
    """A part of a photo that is shown.

    Args:
        image (np.ndarray): The photo as the model saw it, (H, W, 3), uint8,
            RGB.
        box (tuple[int]): The part in pixels of ``image``: left, top, right,
            bottom; right and bottom are excluded.
        source (str): The photo's file.
        class_name (str): Of the photo. Empty where it is not known.
        heat (np.ndarray | None): Where the photo is similar, (H, W), 0 to 1.
    """
    image: np.ndarray
    box: Tuple[int, int, int, int]
    source: str
    class_name: str = ''
    heat: Optional[np.ndarray] = None


@dataclass
class Reason:
    """One line of an explanation: this part looks like those parts.

    Args:
        name (str): Of the prototype, such as ``'channel 204'``.
        part (Patch): Of the explained photo.
        prototypes (list[Patch]): Of training photos, the best first.
        similarity (float): Of the part and the prototype.
        weight (float): Of the prototype in the classifier.
        points (float): What it adds to the logit: similarity x weight.
    """
    name: str
    part: Patch
    prototypes: List[Patch]
    similarity: float
    weight: float
    points: float


@dataclass
class Explanation:
    """Why a classifier gives a photo a class.

    Args:
        image (np.ndarray): The photo as the model saw it, (H, W, 3), uint8,
            RGB.
        source (str): The photo's file.
        class_name (str): The explained class, usually the predicted one.
        true_class (str): Empty where it is not known.
        score (float): The probability of the class.
        logit (float): The sum of all points and of ``rest``.
        rest (float): What the logit has beyond ``reasons``: reasons left
            out, the bias.
        reasons (list[Reason]): The most points first.
    """
    image: np.ndarray
    source: str
    class_name: str
    true_class: str
    score: float
    logit: float
    rest: float
    reasons: List[Reason] = field(default_factory=list)
