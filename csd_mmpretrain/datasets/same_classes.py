"""Whether the labels of two splits mean the same."""
from typing import Any, Optional, Sequence

from csd_mmpretrain.utils.wording import first_names

_SHOWN = 5


def dataset_classes(dataset: Any) -> Optional[Sequence[str]]:
    """Name the classes of any dataset by label; None where it has none."""
    return (getattr(dataset, 'metainfo', None) or {}).get('classes')


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
        ValueError: If the classes or their order differ.
    """
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
        'folders beside them, or lists of images (ann_file).')
