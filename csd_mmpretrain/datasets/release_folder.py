"""Finding a released dataset's folder, and telling what it lacks."""
from pathlib import Path
from typing import Sequence, Union


def find_folder(folder: Union[str, Path], names: Sequence[str]) -> Path:
    """Find a folder under any of the names it goes by.

    Args:
        folder (str | Path): The folder asked for; ``~`` is expanded.
        names (Sequence[str]): Names that the release, or copies of it, use
            for this folder. Upper and lower case are not told apart.

    Returns:
        Path: ``folder`` where it exists, or where its name is none of
        ``names``; otherwise the folder beside it that bears one of the
        names, if there is one.
    """
    folder = Path(folder).expanduser()
    known = {name.lower() for name in names}
    if folder.exists() or folder.name.lower() not in known:
        return folder
    if folder.parent.is_dir():
        for other in sorted(folder.parent.iterdir()):
            if other.name.lower() in known and other.is_dir():
                return other
    return folder


def check_folder(dataset: str, folder: Union[str, Path],
                 parts: Sequence[Union[str, Path]], layout: str,
                 page: str) -> None:
    """Raise an error that tells what a dataset's folder lacks.

    Args:
        dataset (str): Name of the dataset, for the message.
        folder (str | Path): The dataset's own folder.
        parts (Sequence[str | Path]): Files and folders it must hold, as
            paths of their own.
        layout (str): What a whole folder holds, for the message.
        page (str): Web address of the release, for the message.

    Raises:
        FileNotFoundError: If the folder or one of its parts is missing.
    """
    remedy = ('Set data_root, or the environment variable CSD_DATA_ROOT to '
              f'the parent folder of all datasets; the release is at {page}')
    if not Path(folder).is_dir():
        raise FileNotFoundError(
            f"{dataset}: no folder '{folder}', expected one with {layout}. "
            f'{remedy}')
    for part in parts:
        if not Path(part).exists():
            raise FileNotFoundError(
                f"{dataset}: '{folder}' has no '{Path(part).name}', expected "
                f'{layout}: the release is not wholly unpacked, or this is '
                f"not the dataset's own folder. {remedy}")
