"""Datasets that are read from an unpacked release."""
from pathlib import Path
from typing import List, Sequence, Tuple, Union

from mmpretrain.datasets import BaseDataset


def find_folder(folder: Union[str, Path], names: Sequence[str]) -> Path:
    """Find a folder under any of the names it goes by.

    Args:
        folder (str | Path): The folder asked for; ``~`` is expanded.
        names (Sequence[str]): Names of it in the release and its copies, in
            upper or lower case.

    Returns:
        Path: A folder beside it with one of the names, where ``folder`` is
        one of them and does not exist; else ``folder``.
    """
    folder = Path(folder).expanduser()
    known = {name.lower() for name in names}
    if (folder.exists() or folder.name.lower() not in known
            or not folder.parent.is_dir()):
        return folder
    return next((other for other in sorted(folder.parent.iterdir())
                 if other.name.lower() in known and other.is_dir()), folder)


class ReleasedDataset(BaseDataset):
    """Base of the datasets that are read from an unpacked release.

    A subclass tells the release's web page (``PAGE``), what its folder holds
    (``LAYOUT``), its splits (``SPLITS``), and the names of the folder
    (``FOLDERS``).

    Args:
        data_root (str): The dataset's own folder. Where it does not exist, a
            folder beside it with one of the names in ``FOLDERS`` is taken.
        split (str): One of ``SPLITS``.
        **kwargs: Arguments of :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        ValueError: If ``split`` is unknown, or the lists are in disorder.
        FileNotFoundError: If the folder or one of its parts is missing. Only
            raised when the lists are read, not with ``lazy_init=True``.
    """

    PAGE: str
    LAYOUT: str
    SPLITS: Tuple[str, ...] = ('train', 'test')
    FOLDERS: Tuple[str, ...] = ()

    def __init__(self, data_root: str, split: str, **kwargs):
        if split not in self.SPLITS:
            raise ValueError(f'{type(self).__name__}: split={split!r}, '
                             f'expected one of {", ".join(self.SPLITS)}.')
        self.split = split
        super().__init__(
            data_root=str(find_folder(data_root, self.FOLDERS)), **kwargs)

    def check_folder(self, *parts: str) -> None:
        """Raise FileNotFoundError if the folder, or a part of it, is gone."""
        name, folder = type(self).__name__, self.data_root
        remedy = ('Set data_root, or the environment variable CSD_DATA_ROOT '
                  'to the parent folder of all datasets; the release is at '
                  f'{self.PAGE}')
        if not Path(folder).is_dir():
            raise FileNotFoundError(
                f"{name}: no folder '{folder}', expected one with "
                f'{self.LAYOUT}. {remedy}')
        for part in parts:
            if not Path(part).exists():
                raise FileNotFoundError(
                    f"{name}: '{folder}' has no '{Path(part).name}', expected "
                    f'{self.LAYOUT}: the release is not wholly unpacked, or '
                    f"this is not the dataset's own folder. {remedy}")

    def extra_repr(self) -> List[str]:
        return [f'Root of dataset: \t{self.data_root}',
                f'Split: \t{self.split}']
