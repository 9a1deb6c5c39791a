"""The number that the field reports for SoyAgeing."""
from statistics import mean
from typing import Sequence, Tuple

from csd_mmpretrain.datasets.ultra_fgvc import SoyAgeing


def five_stage_mean(scores: Sequence[Tuple[str, float]]) -> float:
    """Average the scores of the five models, one per stage of growth.

    Args:
        scores (Sequence[tuple[str, float]]): Stage and score of each.

    Returns:
        float: The mean.

    Raises:
        ValueError: If a stage is missing, doubled or unknown.

    Example:
        >>> five_stage_mean([('R1', 70), ('R3', 72), ('R4', 74), ('R5', 76),
        ...                  ('R6', 78)])
        74
    """
    stages = [stage for stage, _ in scores]
    faults = [
        f'{stage} is {fault}' for fault, names in (
            ('missing', [s for s in SoyAgeing.STAGES if s not in stages]),
            ('there twice', sorted({s for s in stages
                                    if stages.count(s) > 1})),
            ('no stage', sorted(set(stages) - set(SoyAgeing.STAGES))),
        ) for stage in names
    ]
    if faults:
        raise ValueError(f'SoyAgeing: {", ".join(faults)}. The mean is of '
                         f'one score of each of {", ".join(SoyAgeing.STAGES)}'
                         '.')
    return mean(score for _, score in scores)
