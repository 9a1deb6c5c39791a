"""Decoded images in memory that the processes of a machine share."""
import os
import weakref
from multiprocessing import reduction
from multiprocessing.pool import ThreadPool
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from .data_check import WORKERS

try:
    import fcntl
except ImportError:  # Windows, where no cache can be made
    fcntl = None

_HEADER = 16  # bytes: height, width, channels (0 for none), 1 when filled


class ImageCache:
    """Shared memory with a place per image, each filled when first needed.

    The memory is a file without a name (``memfd``), which the kernel frees
    with the last process that has it open. The size of ``/dev/shm`` does not
    limit it. It is read and written by system calls and not mapped: where
    memory runs out, a write fails and the image is not kept, whereas a store
    to mapped memory would kill the process (SIGBUS).

    Each place has a lock, which the kernel releases if its holder dies:
    whoever needs an image first decodes it, the others wait. Forked and
    spawned processes inherit the cache; others of the same user open it by
    its :attr:`handle`.

    Args:
        sizes (Sequence[int]): Bytes of each image. One that turns out larger
            is decoded whenever it is needed.
        handle (tuple, optional): :attr:`handle` of another process's cache of
            the same sizes, to share it. Defaults to None, a new cache.

    Attributes:
        handle (tuple[int]): Process, file, and its device and inode.
        close (Callable): Lets go of the memory; others that share it keep it.

    Raises:
        OSError: If the memory cannot be made or opened.
        AttributeError: On a system other than Linux.

    Example:
        >>> cache = ImageCache([12])
        >>> cache.get(0, lambda: np.zeros((2, 2, 3), np.uint8)).shape
        (2, 2, 3)
    """

    def __init__(self,
                 sizes: Sequence[int],
                 handle: Optional[Tuple[int, ...]] = None) -> None:
        # The images lie behind all headers.
        self._starts = np.cumsum([_HEADER * len(sizes), *sizes]).tolist()
        if handle is None:
            self._own(os.memfd_create('image_cache'))
            os.ftruncate(self._file, self._starts[-1])
        else:
            self._own(os.open(f'/proc/{handle[0]}/fd/{handle[1]}', os.O_RDWR))
            if self.handle[2:] != handle[2:]:
                raise OSError('the file is another one')

    def get(self, index: int, decode: Callable[[], Optional[np.ndarray]]
            ) -> Optional[np.ndarray]:
        """Read an image, or else decode and keep it.

        Args:
            index (int): Of the image.
            decode (Callable): Gives the image, (H, W) or (H, W, C), or None;
                called if it is not there. Only uint8 is kept.

        Returns:
            ndarray | None: The image, which is the caller's own.
        """
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, index)
        try:
            image = self._read(index)
            if image is None:
                image = decode()
                self._write(index, image)
            return image
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, index)

    def _own(self, file: int) -> None:
        self._file = file
        self.close = weakref.finalize(self, os.close, file)
        state = os.fstat(file)
        self.handle = os.getpid(), file, state.st_dev, state.st_ino

    def _read(self, index: int) -> Optional[np.ndarray]:
        *shape, filled = np.frombuffer(
            os.pread(self._file, _HEADER, _HEADER * index), np.int32)
        if not filled:
            return None
        image = np.empty(shape if shape[2] else shape[:2], np.uint8)
        os.preadv(self._file, [image], self._starts[index])
        return image

    def _write(self, index: int, image: Optional[np.ndarray]) -> None:
        start, end = self._starts[index:index + 2]
        if (image is None or image.dtype != np.uint8
                or image.nbytes > end - start):
            return
        try:
            count = os.pwrite(self._file, np.ascontiguousarray(image), start)
            if count == image.nbytes:
                # Last, as this says that the image is whole.
                header = np.array([*image.shape, 0][:3] + [1], np.int32)
                os.pwrite(self._file, header, _HEADER * index)
        except OSError:
            pass  # out of memory: it is decoded again when needed

    def __getstate__(self) -> tuple:
        return self._starts, reduction.DupFd(self._file)

    def __setstate__(self, state: tuple) -> None:
        self._starts, file = state
        self._own(file.detach())


def decoded_sizes(paths: Sequence[str],
                  limit: float) -> Tuple[List[int], int]:
    """Read from their headers how large images are in memory, in color.

    Args:
        paths (Sequence[str]): Image files.
        limit (float): Bytes of all images after which no more are read.

    Returns:
        tuple[list[int], int]: Bytes of each image (0 where the header is not
        understood), up to the limit, and of all; an estimate beyond it.
    """
    sizes, total = [], 0
    with ThreadPool(WORKERS) as pool:
        for size in pool.imap(_decoded_size, paths, 16):
            sizes.append(size)
            total += size
            if total > limit:
                break
    return sizes, total * len(paths) // max(1, len(sizes))


def _decoded_size(path: str) -> int:
    try:
        with Image.open(path) as image:
            return 3 * image.width * image.height
    except Exception:
        return 0
