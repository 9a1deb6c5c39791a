"""How many prototypes per channel each round has."""
import math
from typing import List

# From the round r of R to the number, before it is rounded.
_CODE = dict(
    code=lambda start, end, part: start + (end - start) * part,
    code_exp=lambda start, end, part: start * (end / start)**part,
    code_log=lambda start, end, part:
    end + (start - end) * math.log2(2 - part))
SCHEDULES = ('linear', *_CODE)


def num_prototypes(start: int,
                   end: int,
                   rounds: int,
                   schedule: str = 'linear') -> List[int]:
    """List the prototypes per channel by round, from ``start`` to ``end``.

    Args:
        start (int): In the first round.
        end (int): In the last round, and shown.
        rounds (int): How many rounds.
        schedule (str): ``'linear'``, rounded, ends at ``end``. ``'code'``,
            ``'code_exp'`` and ``'code_log'`` are those of the published code,
            which cut off fractions and never reach ``end``. Defaults to
            ``'linear'``.

    Returns:
        list[int]: One number per round; of one round it is ``end``.

    Raises:
        ValueError: For an unknown schedule, or a number below 1.

    Source: EPIC falls linearly from 100 to 5 in 10 rounds; how it is rounded
    is a choice.

    Example:
        >>> num_prototypes(8, 3, 5)
        [8, 7, 6, 4, 3]
        >>> num_prototypes(100, 5, 10, 'code')[-1]
        14
    """
    if schedule not in SCHEDULES:
        raise ValueError(f'unknown schedule={schedule!r}; choose one of '
                         f'{", ".join(SCHEDULES)}.')
    if min(start, end, rounds) < 1:
        raise ValueError(
            f'The schedule goes from {start} to {end} prototypes per channel '
            f'in {rounds} rounds; all three must be at least 1.')
    if schedule != 'linear':
        return [int(_CODE[schedule](start, end, r / rounds))
                for r in range(rounds)]
    steps = max(1, rounds - 1)
    return [round(end + (start - end) * (rounds - 1 - r) / steps)
            for r in range(rounds)]
