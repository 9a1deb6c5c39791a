"""An explanation with small photos, for tests of what shows it."""
import numpy as np

from csd_mmpretrain.visualization.explanation import (
    Explanation,
    Patch,
    Reason,
)


def make_patch(value=100, source='photos/a <b>.jpg', class_name='R&D apple'):
    """A gray photo of 40 x 30 pixels with a box."""
    image = np.full((30, 40, 3), value, np.uint8)
    heat = np.linspace(0, 1, 1200).reshape(30, 40)
    return Patch(image, (8, 5, 24, 15), source, class_name, heat)


def make_explanation(reasons=3, prototypes=2, **changes):
    """Reasons 1, 2, ... of similarity 0.5 and weights 4, 3, ..., 0, -1."""
    part = make_patch()
    found = [
        Reason(f'channel {i}', part,
               [make_patch(10 * i, f'train/{i}_{j}.jpg', f'kind {i}')
                for j in range(prototypes)], 0.5, 4. - i, 2 - i / 2)
        for i in range(reasons)
    ]
    logit = sum(reason.points for reason in found) - 0.25
    settings = dict(
        image=part.image, source=part.source, class_name='<i>Pear $5',
        true_class='R&D apple', score=0.873, logit=logit, rest=-0.25,
        reasons=found)
    return Explanation(**{**settings, **changes})
