"""Decoded images in memory that the processes of a machine share."""
import os
import struct
import weakref
from contextlib import contextmanager
from multiprocessing import reduction
from typing import Callable, Iterator, Optional, Sequence, Tuple

import numpy as np

try:
    import fcntl
except ImportError:  # Windows, where no cache can be made
    fcntl = None

FILLED = b'\x01'
# Of a stored image: its dtype, channels (0 if it has no such axis), height
# and width.
HEADER = struct.Struct('=3sBII')
Decode = Callable[[], Optional[np.ndarray]]


class ImageCache:
    """A shared memory of a place per image, each filled when first needed.

    The memory is a file without a name that lives in memory (``memfd``). The
    kernel frees it with the last process that has it open, however that ends;
    it is no part of ``/dev/shm``, and so not bound by its size. It is read
    and written by system calls and not mapped: where memory runs out, a write
    fails and the image is just not kept, while a store to mapped memory would
    kill the process (SIGBUS). Reading copies, so an image may be changed.

    A place has a lock, which the kernel releases if its holder dies. Whoever
    needs an image first decodes it, others who need it meanwhile wait. The
    mark that a place is filled is set after its image has been written.

    It can be inherited by a fork, sent to a process that is being spawned,
    and opened by a process of the same user by its :attr:`handle`.

    Args:
        sizes (Sequence[int]): Bytes of each image. An image that turns out
            larger is decoded whenever it is needed.
        handle (tuple, optional): :attr:`handle` of another process's cache of
            the same sizes, to share it. Defaults to None, a new cache.

    Raises:
        OSError: If the memory cannot be made or opened.
        AttributeError: On a system other than Linux.

    Source: choice.

    Example:
        >>> cache = ImageCache([12])
        >>> cache.get(0, lambda: np.zeros((2, 2, 3), np.uint8)).shape
        (2, 2, 3)
        >>> cache.get(0, lambda: print('never called')).shape
        (2, 2, 3)
    """

    def __init__(self,
                 sizes: Sequence[int],
                 handle: Optional[Tuple[int, ...]] = None) -> None:
        sizes = np.asarray(sizes, np.int64)
        # After the marks, a byte for each image, come the images.
        self._ends = len(sizes) + np.cumsum(sizes + HEADER.size)
        self._sizes = sizes
        if handle is None:
            file = os.memfd_create('image_cache')
        else:
            file = os.open(f'/proc/{handle[0]}/fd/{handle[1]}', os.O_RDWR)
        self._own(file)
        if handle is None:
            os.ftruncate(file, self._ends[-1] if len(sizes) else 0)
        elif self.handle[2:] != handle[2:]:
            raise OSError('the file is another one')

    @property
    def handle(self) -> Tuple[int, ...]:
        """tuple[int]: Process, file, and its device, inode and size."""
        state = os.fstat(self._file)
        return (os.getpid(), self._file, state.st_dev, state.st_ino,
                state.st_size)

    def get(self, index: int, decode: Decode) -> Optional[np.ndarray]:
        """Read an image, or else decode and keep it.

        Args:
            index (int): Of the image.
            decode (Callable): Gives the image, of shape (H, W) or (H, W, C),
                or None, which is not kept; called if it is not there.

        Returns:
            ndarray | None: The image, which is the caller's own.
        """
        image = self._read(index)
        if image is None:
            with self._locked(index):
                image = self._read(index)
                if image is None:
                    image = decode()
                    if image is not None:
                        self._write(index, image)
        return image

    def close(self) -> None:
        """Let go of the memory; processes that share it are not affected."""
        self._close()

    def _own(self, file: int) -> None:
        self._file = file
        self._close = weakref.finalize(self, os.close, file)

    def _read(self, index: int) -> Optional[np.ndarray]:
        if os.pread(self._file, 1, index) != FILLED:
            return None
        start = self._start(index)
        kind, channels, height, width = HEADER.unpack(
            os.pread(self._file, HEADER.size, start))
        shape = (height, width, channels) if channels else (height, width)
        image = np.empty(shape, kind.decode())
        count = os.preadv(self._file, [image], start + HEADER.size)
        return image if count == image.nbytes else None

    def _write(self, index: int, image: np.ndarray) -> None:
        kind = image.dtype.str.encode()
        if (image.nbytes > self._sizes[index] or image.ndim not in (2, 3)
                or len(kind) != 3):
            return
        channels = image.shape[2] if image.ndim == 3 else 0
        header = HEADER.pack(kind, channels, *image.shape[:2])
        try:
            count = os.pwritev(
                self._file,
                [header, np.ascontiguousarray(image)], self._start(index))
            if count == HEADER.size + image.nbytes:
                os.pwrite(self._file, FILLED, index)
        except OSError:
            pass  # out of memory: it is decoded again when needed

    def _start(self, index: int) -> int:
        return int(self._ends[index] - self._sizes[index]) - HEADER.size

    @contextmanager
    def _locked(self, index: int) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, index)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, index)

    def __getstate__(self) -> tuple:
        return self._sizes, self._ends, reduction.DupFd(self._file)

    def __setstate__(self, state: tuple) -> None:
        self._sizes, self._ends, file = state
        self._own(file.detach())
