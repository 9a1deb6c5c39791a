"""Comparing a loaded checkpoint with the model and data it is for."""
import re
from typing import List, NamedTuple, Optional, Pattern, Sequence, Tuple

from torch import nn

from csd_mmpretrain.utils.unwrap import unwrap

# What of a model only its training uses.
TRAINING_ONLY = re.compile(r'(^|\.)(ddl|ssdt|loss_module)\.')
# What of these holds images of the training's data.
QUEUE = re.compile(r'(^|\.)ddl\.queue\.')
COUNTED = 'num_batches_tracked'  # which mmengine leaves out, too
WRONG_SHAPE = re.compile(
    r'size mismatch for (\S+): .*Size\(\[(.*?)\]\).*Size\(\[(.*?)\]\)')
SHOWN = 3


class WrongShape(NamedTuple):
    """A tensor whose shape is not that of the model.

    Args:
        name (str): Its name.
        found (tuple[int]): Its shape in the checkpoint.
        expected (tuple[int]): Its shape in the model.
    """

    name: str
    found: Tuple[int, ...]
    expected: Tuple[int, ...]


class Match(NamedTuple):
    """How a checkpoint fits a model.

    Args:
        fitting (list[str]): Tensors that are taken over.
        missing (list[str]): Tensors that only the model has.
        unexpected (list[str]): Tensors that only the checkpoint has.
        wrong (list[WrongShape]): Tensors of another shape.
        refused (list[str]): What torch says of all others.
    """

    fitting: List[str]
    missing: List[str]
    unexpected: List[str]
    wrong: List[WrongShape]
    refused: List[str]


def num_classes_of(model: nn.Module) -> Optional[int]:
    """Look up the number of classes in a model's head.

    Args:
        model (nn.Module): The model.

    Returns:
        int, optional: The first ``num_classes`` of its head's parts.
    """
    head = getattr(unwrap(model), 'head', None)
    for module in head.modules() if isinstance(head, nn.Module) else ():
        if isinstance(getattr(module, 'num_classes', None), int):
            return module.num_classes
    return None


def load_and_compare(model: nn.Module, state_dict: dict) -> Match:
    """Load weights into a model, and tell what of them fits.

    Args:
        model (nn.Module): The model. All that fits is loaded, with every
            renaming and resizing that its parts do.
        state_dict (dict): The weights by name.

    Returns:
        Match: What fits and what does not.

    Source: torch tells; mmengine would print the same and go on.
    """
    keys, wrong, refused = [], [], []
    handle = model.register_load_state_dict_post_hook(
        lambda module, found: keys.extend(found))
    try:
        model.load_state_dict(state_dict, strict=False)
    except RuntimeError as error:
        if not keys:
            raise
        for message in str(error).split('\n\t')[1:]:
            parts = WRONG_SHAPE.match(message)
            if parts:
                wrong.append(WrongShape(parts[1], *map(_shape, parts.group(
                    2, 3))))
            else:
                refused.append(message)
    finally:
        handle.remove()
    missing, unexpected = keys
    missing = [name for name in missing if COUNTED not in name]
    others = {*missing, *(shape.name for shape in wrong)}
    fitting = [name for name in model.state_dict()
               if name not in others and COUNTED not in name]
    return Match(fitting, missing, list(unexpected), wrong, refused)


def leave_out(match: Match, pattern: Pattern) -> Match:
    """Leave out of a comparison what does not matter.

    Args:
        match (Match): The comparison.
        pattern (Pattern): Of the names, such as :data:`TRAINING_ONLY`.

    Returns:
        Match: Without the tensors whose names have it.
    """
    return Match(*([item for item in items if not pattern.search(
        getattr(item, 'name', item))] for items in match))


def describe_match(match: Match, num_classes: Optional[int]) -> List[str]:
    """Say what of a checkpoint does not fit.

    Args:
        match (Match): The comparison.
        num_classes (int, optional): Of the model.

    Returns:
        list[str]: A sentence for each kind of difference.
    """
    lines = []
    for _, found, expected in match.wrong:
        if expected[:1] == (num_classes, ) and found[1:] == expected[1:]:
            lines = [f'the checkpoint knows {found[0]} classes, the model '
                     f'{num_classes}']
    shapes = [f'{name} {found} for {expected}'
              for name, found, expected in match.wrong]
    for what, names in (('have another shape', shapes),
                        ('are missing', match.missing),
                        ('are not in the model', match.unexpected),
                        ('are refused by torch', match.refused)):
        if names:
            more = ', ...' * (len(names) > SHOWN)
            lines.append(f'{len(names)} tensors {what}: ' +
                         ', '.join(names[:SHOWN]) + more)
    return lines


def describe_classes(found: Sequence[str],
                     expected: Sequence[str]) -> Optional[str]:
    """Say how the classes of a checkpoint differ from those of the data.

    Args:
        found (Sequence[str]): Names of the checkpoint's classes.
        expected (Sequence[str]): Names of the data's classes.

    Returns:
        str, optional: A sentence; None if they are the same.

    Example:
        >>> describe_classes(['apple', 'pear'], ['apple'])
        'the checkpoint was trained for 2 classes, the data has 1'
    """
    if len(found) != len(expected):
        return (f'the checkpoint was trained for {len(found)} classes, the '
                f'data has {len(expected)}')
    other = [(index, *names) for index, names in enumerate(
        zip(found, expected)) if names[0] != names[1]]
    if not other:
        return None
    return ('{} of {} classes have other names: class {} is {!r} in the '
            'checkpoint, {!r} in the data'.format(
                len(other), len(found), *other[0]))


def _shape(text: str) -> Tuple[int, ...]:
    return tuple(int(size) for size in text.split(',') if size)
