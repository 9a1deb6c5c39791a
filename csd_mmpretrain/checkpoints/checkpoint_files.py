"""Checkpoint files: atomic writes, checks for damage, and the newest."""
import io
import os
import re
import zipfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Optional, Tuple, Union

import torch
from mmengine.fileio import LocalBackend, get_file_backend, register_backend

from csd_mmpretrain.utils.wording import first_names

from .pretrained import read_names

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PART = '.part'
ZIP_START = b'PK\3\4'
RECORD = 'last_checkpoint'
LOCK = '.training.lock'
BEST = '(best_.+_)?'
# How FSDP and DeepSpeed name the files of a checkpoint that is a folder.
SHARD = re.compile(r'rank\d+\.pth|(\w+_)?mp_rank_\d+_\w+_states\.pt')


def write_whole(path: str, content: bytes) -> None:
    """Write a file atomically: a kill leaves the old or the new one.

    The content goes to ``<path>.part``, is flushed to the disk and renamed.

    Args:
        path (str): The file; its folder is made where it is missing.
        content (bytes): What to write.

    Raises:
        OSError: If the disk is full or read-only. The old file stays.
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
            'What was saved before is unchanged. Free some disk space, or '
            'choose a folder that can be written to, and run the command '
            'again; a training goes on with `--resume`.') from None


def save_plain(content: dict, path: str) -> None:
    """Save tensors and plain values; a kill leaves the old file or the new.

    Args:
        content (dict): What to save.
        path (str): The file.

    Raises:
        OSError: See :func:`write_whole`.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(path, buffer.getvalue())


def remove_parts(folder: str, template: str) -> None:
    """Remove the parts of a run's files that a kill has left unfinished.

    Args:
        folder (str): Where they are.
        template (str): The files' name, such as ``'epoch_{}.pth'``; best and
            published checkpoints count, too.
    """
    stem, end = os.path.splitext(template)
    name = re.compile(f'{BEST}{_pattern(stem)}(-[0-9a-f]{{8}})?'
                      f'{_pattern(end + PART)}')
    for path in Path(folder).glob(f'*{PART}'):
        if name.fullmatch(path.name) and path.is_file():
            path.unlink()


class WholeFileBackend(LocalBackend):
    """mmengine's local files, written by :func:`write_whole`."""

    def put(self, obj: bytes, filepath: Union[str, os.PathLike]) -> None:
        write_whole(os.fspath(filepath), obj)


@contextmanager
def whole_files() -> Iterator[None]:
    """Let mmengine write local files atomically in this context.

    Source: choice. Only some of mmengine's ways to save a checkpoint take a
    backend as an argument; all of them ask for the one of local files.
    """
    usual = type(get_file_backend(''))
    register_backend('local', WholeFileBackend, force=True, prefixes='')
    try:
        yield
    finally:
        register_backend('local', usual, force=True, prefixes='')


class LateRemoval:
    """A file backend that removes a run's checkpoints alone, and later.

    What is outdated may be read from a file that somebody else has made, so
    only checkpoints by their name, in the folder of the run, are removed. Of
    a checkpoint that is a folder, only its shards are, and then the folder
    if nothing is left in it.

    Args:
        backend (BaseStorageBackend): The backend that does the work.
        folder (str): Where the run keeps its checkpoints.
        template (str): Their name, such as ``'epoch_{}.pth'``.

    Attributes:
        outdated (list[str]): The checkpoints to remove.
    """

    def __init__(self, backend: LocalBackend, folder: str,
                 template: str) -> None:
        self._backend = backend
        self._folder = os.path.dirname(os.path.join(folder, ''))
        self._template = template
        self.outdated: List[str] = []

    def __getattr__(self, name: str):
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        """Defer the removal of a checkpoint; ignore all else."""
        folder, name = os.path.split(path)
        if folder == self._folder and is_checkpoint(name, self._template):
            self.outdated.append(path)

    rmtree = remove

    def remove_outdated(self, keep: Iterable[str]) -> None:
        """Remove what is outdated.

        Args:
            keep (Iterable[str]): Paths that have been written anew since.
        """
        for path in set(self.outdated).difference(keep):
            if self.isfile(path):
                self._backend.remove(path)
            elif self.isdir(path) and not os.path.islink(path):
                self._remove_shards(path)
        self.outdated.clear()

    def _remove_shards(self, folder: str) -> None:
        for name in list(self.list_dir_or_file(folder, list_dir=False)):
            if SHARD.fullmatch(name):
                self._backend.remove(os.path.join(folder, name))
        with suppress(OSError):  # not empty
            os.rmdir(folder)


def _fault_of(path: str) -> Optional[str]:
    """Find damage by checksums, without loading; folders are not checked."""
    if os.path.isdir(path):
        return None
    if not os.path.isfile(path):
        return 'is missing'
    with open(path, 'rb') as file:
        start = file.read(len(ZIP_START))
    if not start:
        return 'is empty'
    if start == ZIP_START:
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
    """Tell where mmengine's CheckpointHook puts a run's checkpoints.

    Args:
        work_dir (str): Of the run.
        out_dir (str, optional): Of the hook.

    Returns:
        str: ``work_dir``, or a folder of its name in ``out_dir``.
    """
    if out_dir in (None, work_dir):
        return work_dir
    return os.path.join(out_dir, os.path.basename(work_dir.rstrip(os.sep)))


def read_record(work_dir: str) -> Optional[str]:
    """Read which checkpoint a run has written last.

    Args:
        work_dir (str): Of the run.

    Returns:
        str, optional: What ``last_checkpoint`` says; None if there is none.
    """
    record = Path(work_dir, RECORD)
    return record.read_text().strip() if record.is_file() else None


def no_checkpoint(faults: Dict[str, str]) -> ValueError:
    """Make the error of a resume without a checkpoint.

    Args:
        faults (dict[str, str]): Of the files that were checked.

    Returns:
        ValueError: To be raised.
    """
    found = '\n  '.join(f'{path} {fault}' for path, fault in faults.items())
    return ValueError(
        f'There is no whole checkpoint to resume from:\n  {found}\n'
        'Start from the beginning in another folder (--work-dir), or '
        'give a checkpoint to resume from (`--resume FILE`, or '
        'load_from=FILE with resume=True).')


def refuse_overwriting(folder: str, template: str) -> None:
    """Stop a new training that would write over another's checkpoints.

    Args:
        folder (str): Where the run keeps its checkpoints.
        template (str): Their name, such as ``'epoch_{}.pth'``.

    Raises:
        FileExistsError: If there are any.
    """
    names = [os.path.basename(path)
             for _, path in sorted(saved_steps(folder, template).items())]
    if names:
        raise FileExistsError(
            f'{folder} has the checkpoints of another training '
            f'({first_names(names, 3)}), which a new one would write over. '
            'Go on with that training (`--resume`), choose another folder '
            '(`--work-dir`), or remove this one.')


class FolderLock:
    """Lets one training at a time write into a folder, until it ends.

    The lock belongs to the process: it ends with it, however that ends, and
    data workers do not keep it. On systems or disks without such locks there
    is none.

    Args:
        folder (str): Of the checkpoints; made where it is missing.

    Raises:
        RuntimeError: If another process holds it.
    """

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)
        self._file = open(os.path.join(folder, LOCK), 'a')
        try:
            if fcntl is not None:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise RuntimeError(
                f'A training is writing into {folder}. Wait until it ends, '
                'or choose another folder (`--work-dir`).') from None
        except OSError:
            return  # a file system without locks

    def release(self) -> None:
        """Let others write."""
        self._file.close()


def saved_steps(folder: str, template: str) -> Dict[int, str]:
    """List the checkpoints of a run.

    Args:
        folder (str): Where they are.
        template (str): Their name, such as ``'epoch_{}.pth'``.

    Returns:
        dict[int, str]: Paths by epoch or iteration.
    """
    names = os.listdir(folder) if os.path.isdir(folder) else []
    steps = {_step(name, template): name for name in names}
    return {step: os.path.join(folder, name)
            for step, name in steps.items() if step is not None}


def check_template(template: str) -> None:
    """Refuse names of checkpoints that a resume would not find again.

    Args:
        template (str): Such as ``'epoch_{}.pth'``.

    Raises:
        ValueError: If it is not a file's name with one place for the step.
    """
    try:
        name = template.format(12345)
    except (IndexError, KeyError, ValueError):
        name = ''
    if os.path.basename(name) != name or _step(name, template) != 12345:
        raise ValueError(
            f'default_hooks.checkpoint.filename_tmpl={template!r}: it must be '
            'the name of a file, without a folder, and have one {} for the '
            "epoch or iteration, such as 'epoch_{}.pth'.")


def newest_whole(
        folder: str, template: str,
        named: Optional[str]) -> Tuple[Optional[str], Dict[str, str]]:
    """Find the checkpoint to resume from.

    Args:
        folder (str): Where the run keeps its checkpoints.
        template (str): Their name, such as ``'epoch_{}.pth'``.
        named (str, optional): The one that ``last_checkpoint`` names.

    Returns:
        tuple: The path of the named one if it is whole, or else of the newest
        whole one, those before the named one first, or None; and the faults
        of the others that were checked, by path. Only those in the folder
        count: a copied run names one of the run that it was copied from.
    """
    saved = saved_steps(folder, template)
    name = os.path.basename(named or '')
    last = _step(name, template)
    last = max(saved, default=0) if last is None else last
    steps = sorted(saved, key=lambda step: (step <= last, step), reverse=True)
    paths = [saved[step] for step in steps]
    faults = {}
    if named:
        own = os.path.join(folder, name)
        if os.path.abspath(own) == os.path.abspath(named):
            own = named
        else:
            faults[named] = f'is not in {folder}, the folder of this run'
        if os.path.isfile(own) or name in map(os.path.basename, paths):
            paths.insert(0, own)
        elif own == named:
            faults[named] = 'is missing'
    for path in dict.fromkeys(paths):
        fault = _fault_of(path)
        if fault is None:
            return path, faults
        faults[path] = fault
    return None, faults


def is_checkpoint(name: str, template: str) -> bool:
    """Tell whether a file's name is that of a run's checkpoint.

    Args:
        name (str): Without a folder.
        template (str): As in :func:`saved_steps`; the best checkpoints have
            ``best_<score>_`` before it.
    """
    return re.fullmatch(BEST + _pattern(template), name) is not None


def _step(name: str, template: str) -> Optional[int]:
    match = re.fullmatch(_pattern(template), name)
    return int(match[1]) if match and match.re.groups else None


def _pattern(template: str) -> str:
    return re.sub(r'\\{.*?\\}', r'(\\d+)', re.escape(template))
