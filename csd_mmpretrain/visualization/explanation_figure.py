"""Figures of explanations and of prototypes."""
import os
from typing import TYPE_CHECKING, List, Optional, Sequence

import mmcv
import numpy as np

from .explanation import Explanation, Patch, Reason
from .image_grid import DARK, GRAY, GREEN, RED, YELLOW, Panel, draw_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL = 1.3  # inches


def explanation_figure(explanation: Explanation,
                       cam: Optional[np.ndarray] = None) -> 'Figure':
    """Draw which parts of a photo look like which parts of training photos.

    The first row is the photo with the parts of all reasons. Each further row
    is one reason: where its part is, the part, the part of the best prototype
    and where that is, further prototypes.

    Args:
        explanation (Explanation): With at least one reason.
        cam (np.ndarray, optional): (H, W), 0 to 1: a class activation map of
            the same photo, drawn beside it. Defaults to None.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.

    Raises:
        ValueError: If there is no reason.

    Example:
        ::

            explanation_figure(explanation).savefig('why.png', dpi=150)
    """
    if not explanation.reasons:
        raise ValueError(
            f'{explanation.source!r}: the explanation has no reason, so there '
            'is nothing to draw. Ask for at least one.')
    boxes = [reason.part.box for reason in explanation.reasons]
    first = [Panel(explanation.image, 'all parts',
                   _lines(explanation.true_class, explanation.source),
                   boxes=boxes)]
    if cam is not None:
        first.append(Panel(explanation.image, 'Grad-CAM',
                           [(explanation.class_name, DARK)], cam, boxes))
    rows = [_reason_row(i, reason)
            for i, reason in enumerate(explanation.reasons, 1)]
    points = sum(reason.points for reason in explanation.reasons)
    return draw_grid(
        [first, *rows], cell=_CELL, square=True, bar='Grad-CAM, scaled',
        title=f'{explanation.class_name} ({explanation.score:.1%})'
        + _verdict(explanation),
        note=f'{points:.3f} (the reasons shown) '
        f'{explanation.rest:+.3f} (all else) = '
        f'{explanation.logit:.3f} (the logit)')


def prototype_page(title: str, patches: Sequence[Patch],
                   captions: Sequence[str]) -> 'Figure':
    """Draw prototypes: each part, and where it is in its photo.

    Args:
        title (str): Above the page: the class or the channel.
        patches (Sequence[Patch]): At least one; their heat is drawn where
            they have it.
        captions (Sequence[str]): What is written below each part.

    Returns:
        Figure: Ready for ``figure.savefig(path, dpi=...)``.

    Raises:
        ValueError: If there is no patch.
    """
    rows = [[_cut(patch, [(caption, DARK)]), _whole(patch, patch.heat)]
            for patch, caption in zip(patches, captions)]
    return draw_grid(rows, columns=None, cell=_CELL, square=True, title=title,
                     bar='similarity, scaled per photo')


def _reason_row(rank: int, reason: Reason) -> List[Optional[Panel]]:
    sums = [(f'similarity {reason.similarity:.3f}', DARK),
            (f'× weight {reason.weight:.3f}', DARK),
            (f'= {reason.points:+.3f} points',
             GREEN if reason.points > 0 else RED)]
    row = [Panel(reason.part.image, f'{rank}. {reason.name}',
                 boxes=[reason.part.box]), _cut(reason.part, sums)]
    if reason.prototypes:
        row += [None, _cut(reason.prototypes[0], title='looks like'),
                *map(_whole, reason.prototypes)]
    return row


def _cut(patch: Patch, captions: Sequence[tuple] = (),
         title: str = '') -> Panel:
    left, top, right, bottom = patch.box
    part = mmcv.imrescale(
        patch.image[top:bottom, left:right], patch.image.shape[:2],
        interpolation='bicubic')
    return Panel(part, title, captions, frame=YELLOW)


def _whole(patch: Patch, heat: Optional[np.ndarray] = None) -> Panel:
    return Panel(patch.image, '', _lines(patch.class_name, patch.source),
                 heat, [patch.box])


def _lines(class_name: str, source: str) -> List[tuple]:
    lines = [(class_name, DARK), (os.path.basename(source), GRAY)]
    return [line for line in lines if line[0]]


def _verdict(explanation: Explanation) -> str:
    if not explanation.true_class:
        return ''
    if explanation.true_class == explanation.class_name:
        return ', which is right'
    return f', in truth {explanation.true_class}'
