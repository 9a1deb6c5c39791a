"""Whether the labels of two splits mean the same, or are meant to differ."""
import unicodedata
from typing import Any, Dict, Iterable, Optional, Sequence

from csd_mmpretrain.utils.wording import first_names

_SHOWN = 5


def dataset_classes(dataset: Any) -> Optional[Sequence[str]]:
    """Name the classes of any dataset by label; None where it has none."""
    return (getattr(dataset, 'metainfo', None) or {}).get('classes')


def is_unseen(dataset: Any) -> bool:
    """Whether a dataset says that no training may see its classes.

    It says so by ``unseen_classes=True`` in its ``metainfo``, as
    :func:`~csd_mmpretrain.datasets.class_split.ClassSplit` writes it.
    """
    return bool(
        (getattr(dataset, 'metainfo', None) or {}).get('unseen_classes'))


def compare_classes(train: Any, other: Any, purpose: str) -> None:
    """Compare the classes of the training data with those of another split.

    Args:
        train (Dataset): The training data.
        other (Dataset): The other split.
        purpose (str): What the other split is for.

    Raises:
        ValueError: As :func:`check_unseen_classes` if the other split has
            unseen classes, else as :func:`check_same_classes`.
    """
    unseen = is_unseen(other) and other is not train
    check = check_unseen_classes if unseen else check_same_classes
    check(dataset_classes(train), dataset_classes(other), purpose)


def check_unseen_classes(train: Optional[Sequence[str]],
                         other: Optional[Sequence[str]],
                         purpose: str) -> None:
    """Raise an error if a class that is meant to be unseen was trained on.

    Args:
        train (Sequence[str], optional): Names of the trained classes.
        other (Sequence[str], optional): Names of the unseen classes. Nothing
            is checked where one of the two is None.
        purpose (str): What the unseen classes are for.

    Raises:
        ValueError: If both have a class of one name.
    """
    trained = set(train or ())
    both = [name for name in other or () if name in trained]
    if both:
        raise ValueError(
            f'The {purpose} data is meant to have unseen classes, but '
            f'{len(both)} of its {len(other)} classes are trained on: '
            f'{first_names(both, _SHOWN)}. Give the two other parts of the '
            "classes, such as ClassSplit(classes='first-half') and "
            "ClassSplit(classes='last-half', unseen=True).")


def check_same_classes(train: Optional[Sequence[str]],
                       other: Optional[Sequence[str]], purpose: str) -> None:
    """Raise an error if two splits number other classes.

    mmpretrain's ``CustomDataset`` numbers the folders of each split on its
    own, in alphabetical order: with a folder more or less, hidden ones too,
    all later labels mean something else.

    Args:
        train (Sequence[str], optional): Classes of the training data, by
            label.
        other (Sequence[str], optional): Classes of the other split. Nothing
            is checked where one of the two is None or empty.
        purpose (str): What the other split is for.

    Raises:
        ValueError: If the classes or their order differ, or two names differ
            in their form of Unicode alone.
    """
    check_unicode({*(train or ()), *(other or ())})
    if not train or not other or list(train) == list(other):
        return
    found = [
        f'only the {name} data has {first_names(alone, _SHOWN)}'
        for name, alone in (
            ('training', [name for name in train if name not in other]),
            (purpose, [name for name in other if name not in train])) if alone
    ] or ['their order differs']
    raise ValueError(
        f'The training data has {len(train)} classes, the {purpose} data '
        f'{len(other)}: {"; ".join(found)}. So the same label means other '
        'classes. Give both the same folders, also empty ones, and no other '
        'folders beside them, or lists of images (ann_file). Classes that are '
        'to be unseen in the training need ClassSplit(unseen=True).')


def check_unicode(names: Iterable[str]) -> None:
    """Raise an error if two names look the same but are not.

    Args:
        names (Iterable[str]): Of classes, in any order.

    Raises:
        ValueError: If two names differ in their form of Unicode alone.
    """
    seen: Dict[str, str] = {}
    for name in sorted(map(str, names)):
        other = seen.setdefault(unicodedata.normalize('NFC', name), name)
        if other != name:
            raise ValueError(
                f'The class {name} is there in two forms of Unicode that look '
                f'the same, {ascii(other)} and {ascii(name)}: with an accent '
                'of its own (NFD, as macOS writes it) and with one joined to '
                'its letter (NFC). Rename the folders, or mend the lists of '
                'classes, so that all have the same form.')
