"""Quick checks that image files are whole and load as they look."""
import os
import re
import stat
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import Iterable, List, Optional, Tuple

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.progress import track

EXTENSIONS = {
    '.avif', '.bmp', '.gif', '.heic', '.jfif', '.jp2', '.jpeg', '.jpg',
    '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp'
}
# The first and the last bytes of a PNG and a JPEG file.
_MARKERS = ((b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82'),
            (b'\xff\xd8\xff', b'\xff\xd9'))
_TAIL = 64
# An image looks different if a larger fraction of its values is further off.
_FAR_OFF, _FRACTION = 32, 0.01


def image_fault(path: str, decode: bool = False) -> Optional[str]:
    """Tell what is wrong with an image file.

    A PNG or JPEG file of a plain kind (8-bit gray, palette, RGB or RGBA) that
    ends with its end marker is whole. Anything else is decoded by OpenCV, as
    the configs do, and compared with what a person sees. A file whose
    extension is not that of an image (an array, say) must not be empty.

    Args:
        path (str): A local file.
        decode (bool): Decode every image to find damage in the middle, too
            (milliseconds instead of microseconds). Defaults to False.

    Returns:
        str | None: 'missing', 'not a file', 'empty', 'truncated', 'not an
        image', 'damaged', 'too large (pixels and limit)', 'cannot be read
        (why)', 'not read by OpenCV (kind)', 'shown differently by OpenCV
        (kind)', or None if nothing is wrong.

    Source: choice; the limit of pixels is PIL's against decompression bombs.
    """
    try:
        # Before it is opened: opening a FIFO would wait for its writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            return 'not a file'
        with open(path, 'rb') as file:
            head = file.read(16)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return 'missing'
    except OSError as error:
        return f'cannot be read ({error.strerror})'
    if not head:
        return 'empty'
    if os.path.splitext(path)[1].lower() not in EXTENSIONS:
        return None
    ends = [end in tail for start, end in _MARKERS if head.startswith(start)]
    try:
        with Image.open(path) as image:
            if ends == [True] and not decode and _is_plain(image):
                return None
            fault = _decoding_fault(path, image)
            return 'truncated' if fault and ends == [False] else fault
    except UnidentifiedImageError:
        if ends:
            return 'damaged' if ends[0] else 'truncated'
        return 'not an image' if _decode(path) is None else None
    except (Image.DecompressionBombError,
            Image.DecompressionBombWarning) as error:
        pixels, limit = re.findall(r'\d+', str(error))[:2]
        return f'too large ({pixels} pixels, the limit is {limit})'
    except Exception as error:
        cut = ends == [False] or 'truncated' in str(error)
        return 'truncated' if cut else 'damaged'


def find_broken_images(paths: Iterable[str],
                       decode: bool = False,
                       workers: int = 1,
                       title: Optional[str] = None) -> List[Tuple[str, str]]:
    """Find the image files that are missing, not whole or load wrongly.

    Args:
        paths (Iterable[str]): Local files.
        decode (bool): See :func:`image_fault`. Defaults to False.
        workers (int): Threads. Defaults to 1.
        title (str, optional): Of a progress line. Defaults to None, no line.

    Returns:
        list[tuple[str, str]]: Path and fault of each broken file, in order.

    Example:
        >>> find_broken_images(['whole.png', 'gone.png'])
        [('gone.png', 'missing')]
    """
    paths = list(paths)
    with ThreadPool(workers) as pool:
        faults = pool.imap(partial(image_fault, decode=decode), paths, 16)
        if title is not None:
            faults = track(faults, title, len(paths))
        return [(path, fault) for path, fault in zip(paths, faults) if fault]


def _as_seen(image: Image.Image) -> np.ndarray:
    """What a person sees (of the first frame), (H, W, 3), uint8, BGR."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I'):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])


def _is_plain(image: Image.Image) -> bool:
    """Whether every OpenCV decodes such an image as it looks."""
    if image.format in ('JPEG', 'MPO'):
        return image.mode in ('L', 'RGB')
    return (image.mode in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA')
            and 'exif' not in image.info)


def _decode(path: str) -> Optional[np.ndarray]:
    """Decode as mmcv's LoadImageFromFile does."""
    return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)


def _decoding_fault(path: str, image: Image.Image) -> Optional[str]:
    """Compare what OpenCV makes of an image with what a person sees."""
    image.load()
    kind = f'{image.format}, {image.mode}'
    loaded = _decode(path)
    if loaded is None:
        return f'not read by OpenCV ({kind})'
    seen = _as_seen(image)
    if loaded.shape == seen.shape:
        far_off = cv2.absdiff(loaded, seen) > _FAR_OFF
        if np.count_nonzero(far_off) <= _FRACTION * far_off.size:
            return None
    return f'shown differently by OpenCV ({kind})'
