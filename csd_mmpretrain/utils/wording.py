"""Wording that messages share."""
from typing import Sequence


def first_names(names: Sequence[str], shown: int) -> str:
    """Name the first items of a list, and count the rest.

    Args:
        names (Sequence[str]): All names.
        shown (int): How many to name at most.

    Returns:
        str: The names, with commas.

    Example:
        >>> first_names(['a', 'b', 'c'], 2)
        'a, b and 1 more'
    """
    more = len(names) - shown
    return ', '.join(names[:shown]) + (f' and {more} more' if more > 0 else '')
