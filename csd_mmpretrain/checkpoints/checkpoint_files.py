"""Checkpoint files: written whole or not at all, checked, and chosen."""
import os
import re
import zipfile
from contextlib import contextmanager, suppress
from typing import Dict, Iterable, Iterator, List, Optional, Tuple, Union

from mmengine.fileio import LocalBackend, get_file_backend, register_backend

from .pretrained import read_names

PART = '.part'
ZIP_START = b'PK\3\4'


def write_whole(path: str, content: bytes) -> None:
    """Write a file so that a kill leaves the new one or the old one, whole.

    The content goes to ``<path>.part``, is flushed to the disk, and then
    takes the file's name.

    Args:
        path (str): The file. Its folder is made if it is not there.
        content (bytes): What it shall hold.

    Raises:
        OSError: If the content cannot be written, as on a full disk. The file
            is then as it was, and the part is removed.

    Source: choice.

    Example:
        >>> write_whole('/tmp/last_checkpoint', b'epoch_3.pth')
    """
    part = path + PART
    try:
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        with open(part, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            os.remove(part)
        raise OSError(
            error.errno, f'{path} could not be written ({error.strerror}). '
            'What was saved before is as it was. Make room on the disk, or '
            'choose a folder that can be written to, and go on with '
            '`--resume`.') from None


def remove_parts(folder: str, end: str) -> None:
    """Remove what a kill has left of files that were being written.

    Args:
        folder (str): Where they are.
        end (str): The end of the files' names.

    Example:
        >>> remove_parts('work_dirs/tiny', '.pth')
    """
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if name.endswith(end + PART):
            os.remove(os.path.join(folder, name))


class WholeFileBackend(LocalBackend):
    """mmengine's local files, with :func:`write_whole` for writing.

    Example:
        >>> WholeFileBackend().put(b'content', '/tmp/file')
    """

    def put(self, obj: bytes, filepath: Union[str, os.PathLike]) -> None:
        """Write a file, whole or not at all.

        Args:
            obj (bytes): What it shall hold.
            filepath (str | PathLike): The file.
        """
        write_whole(os.fspath(filepath), obj)


@contextmanager
def whole_files() -> Iterator[None]:
    """Let mmengine write local files whole or not at all, while it lasts.

    Source: choice. Only some of mmengine's ways to save a checkpoint take a
    backend as an argument; all of them ask for the one of local files.

    Example:
        >>> with whole_files():
        ...     mmengine.runner.save_checkpoint({}, '/tmp/epoch_3.pth')
    """
    usual = type(get_file_backend(''))
    register_backend('local', WholeFileBackend, force=True, prefixes='')
    try:
        yield
    finally:
        register_backend('local', usual, force=True, prefixes='')


class LateRemoval:
    """A file backend that removes nothing before it is told to.

    Args:
        backend (BaseStorageBackend): The backend that does the work.

    Attributes:
        outdated (list[str]): What was asked to be removed.

    Source: choice.

    Example:
        >>> backend = LateRemoval(LocalBackend())
        >>> backend.remove('/tmp/epoch_1.pth')  # is still there
        >>> backend.remove_outdated(keep=())
    """

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend
        self.outdated: List[str] = []

    def __getattr__(self, name: str):
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        """Remember a file or folder that is to be removed.

        Args:
            path (str): Its path.
        """
        self.outdated.append(path)

    rmtree = remove

    def remove_outdated(self, keep: Iterable[str]) -> None:
        """Remove now what was asked for.

        Args:
            keep (Iterable[str]): Paths that have been written anew since.
        """
        for path in set(self.outdated).difference(keep):
            if self.isdir(path):
                self._backend.rmtree(path)
            elif self.isfile(path):
                self._backend.remove(path)
        self.outdated.clear()


def fault_of(path: str) -> Optional[str]:
    """Tell what is wrong with a checkpoint, without loading its tensors.

    The checksum of every part is compared, so a file that is cut short and
    one that is damaged in the middle are both found. It reads the file once.

    Args:
        path (str): The checkpoint. A folder, as sharded checkpoints are, is
            not looked into.

    Returns:
        str, optional: The fault, as the end of a sentence that begins with
        the path; None if the file is whole.

    Example:
        >>> fault_of('nowhere.pth')
        'is missing'
    """
    if os.path.isdir(path):
        return None
    if not os.path.isfile(path):
        return 'is missing'
    if not os.path.getsize(path):
        return 'is empty'
    with open(path, 'rb') as file:
        zipped = file.read(len(ZIP_START)) == ZIP_START
    if zipped:
        try:
            with zipfile.ZipFile(path) as archive:
                part = archive.testzip()
        except Exception as error:  # zipfile raises many kinds on damage
            return f'is cut short or damaged ({error})'
        if part is not None:
            return f'is damaged (wrong checksum of {part})'
    try:
        read_names(path)
    except Exception as error:
        return str(error).replace(f'{path} ', '', 1)
    return None


def checkpoint_folder(work_dir: str, out_dir: Optional[str]) -> str:
    """Tell where a run's checkpoints are, as mmengine's hook places them.

    Args:
        work_dir (str): Of the run.
        out_dir (str, optional): That of the hook.

    Returns:
        str: The work directory, or a folder of its name in ``out_dir``.

    Example:
        >>> checkpoint_folder('work_dirs/tiny', '/big/disk')
        '/big/disk/tiny'
    """
    if out_dir in (None, work_dir):
        return work_dir
    return os.path.join(out_dir, os.path.basename(work_dir.rstrip(os.sep)))


def saved_steps(folder: str, template: str) -> Dict[int, str]:
    """List the checkpoints of a run.

    Args:
        folder (str): Where they are.
        template (str): Their name, with a field for the epoch or iteration,
            such as ``'epoch_{}.pth'``.

    Returns:
        dict[int, str]: The path of each, by epoch or iteration.

    Example:
        >>> saved_steps('work_dirs/tiny', 'epoch_{}.pth')
        {2: 'work_dirs/tiny/epoch_2.pth'}
    """
    names = os.listdir(folder) if os.path.isdir(folder) else []
    steps = ((_step(name, template), name) for name in names)
    return {
        step: os.path.join(folder, name)
        for step, name in steps if step is not None
    }


def newest_whole(
        folder: str, template: str,
        named: Optional[str]) -> Tuple[Optional[str], Dict[str, str]]:
    """Find the checkpoint to go on from.

    Args:
        folder (str): Where the run keeps its checkpoints.
        template (str): Their name, such as ``'epoch_{}.pth'``.
        named (str, optional): The one that ``last_checkpoint`` names.

    Returns:
        tuple: The named one if it is whole, or else the newest whole one,
        those before the named one first; None if there is no whole one. And
        the fault of each that was looked at in vain, by path.

    Source: choice.

    Example:
        >>> newest_whole('work_dirs/tiny', 'epoch_{}.pth', None)
        ('work_dirs/tiny/epoch_2.pth', {})
    """
    saved = saved_steps(folder, template)
    last = _step(os.path.basename(named or ''), template)
    last = max(saved, default=0) if last is None else last
    steps = sorted(saved, key=lambda step: (step <= last, step), reverse=True)
    paths = [saved[step] for step in steps]
    faults = {}
    for path in dict.fromkeys([named, *paths] if named else paths):
        fault = fault_of(path)
        if fault is None:
            return path, faults
        faults[path] = fault
    return None, faults


def _step(name: str, template: str) -> Optional[int]:
    pattern = re.sub(r'\\{.*?\\}', r'(\\d+)', re.escape(template))
    match = re.fullmatch(pattern, name)
    return match and int(match[1])
