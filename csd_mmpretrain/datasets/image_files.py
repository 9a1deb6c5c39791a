"""Quick checks that image files are whole and load as they look."""
import os
import re
import stat
import unicodedata
from multiprocessing.pool import ThreadPool
from threading import Lock
from typing import Container, Iterable, List, Optional, Tuple

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
# The longer side over the shorter, beyond which resizing the shorter to a few
# hundred pixels would take gigabytes.
_NARROW = 200
# Images of more pixels are decoded one at a time, and every fourth pixel of
# every fourth row is compared.
_LARGE, _SPARSE = 1 << 24, 4
_one_large = Lock()
# How many bytes of pixels a byte of a TIFF file can hold, by compression.
_MOST_PACKED = dict(raw=1, packbits=64, tiff_lzw=1400, tiff_deflate=1032,
                    tiff_adobe_deflate=1032)


def image_fault(path: str, decode: bool = False,
                is_image: bool = True) -> Optional[str]:
    """Tell what is wrong with an image file.

    A PNG or JPEG file of a plain kind (8-bit gray, palette, RGB or RGBA) that
    ends with its end marker is whole, and so is a plain TIFF file whose
    strips lie within it. Anything else is decoded by OpenCV, as the configs
    do, and compared with what a person sees.

    Args:
        path (str): A local file.
        decode (bool): Decode every image to find damage in the middle, too
            (milliseconds instead of microseconds). Defaults to False.
        is_image (bool): Whether OpenCV has to read it; otherwise (an array,
            say) it must only not be empty. Defaults to True.

    Returns:
        str | None: 'missing', 'missing (and where there is one alike)', 'not
        a file', 'empty', 'truncated', 'not an image', 'damaged', 'too large
        (pixels and limit)', 'too narrow (sides and limit)', 'cannot be read
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
        return _missing(path)
    except ValueError as error:  # a byte of 0 in the name
        return f'cannot be read ({error})'
    except OSError as error:
        return f'cannot be read ({error.strerror})'
    if not head:
        return 'empty'
    if not is_image:
        return None
    ends = [end in tail for start, end in _MARKERS if head.startswith(start)]
    try:
        with Image.open(path) as image:
            if max(image.size) > _NARROW * min(image.size):
                return (f'too narrow ({image.width} x {image.height} pixels, '
                        f'the limit is 1 to {_NARROW})')
            if image.format == 'TIFF':
                ends = [_has_all_strips(image, size)]
                if not ends[0]:
                    return 'truncated'
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
                       title: Optional[str] = None,
                       others: Container[str] = ()) -> List[Tuple[str, str]]:
    """Find the image files that are missing, not whole or load wrongly.

    Args:
        paths (Iterable[str]): Local files.
        decode (bool): See :func:`image_fault`. Defaults to False.
        workers (int): Threads. Defaults to 1.
        title (str, optional): Of a progress line. Defaults to None, no line.
        others (Container[str]): Those of the paths that need not be images.
            Defaults to ().

    Returns:
        list[tuple[str, str]]: Path and fault of each broken file, in order.

    Example:
        >>> find_broken_images(['whole.png', 'gone.png'])
        [('gone.png', 'missing')]
    """
    paths = list(paths)
    with ThreadPool(workers) as pool:
        faults = pool.imap(
            lambda path: image_fault(path, decode, path not in others),
            paths, 16)
        if title is not None:
            faults = track(faults, title, len(paths))
        return [(path, fault) for path, fault in zip(paths, faults) if fault]


def _missing(path: str) -> str:
    """Name a file that looks the same, but is written in another Unicode."""
    for form in ('NFC', 'NFD'):
        other = unicodedata.normalize(form, path)
        if other != path and os.path.exists(other):
            return (f'missing (there is one in Unicode {form}; rename it, or '
                    'write its name so in the list)')
    return 'missing'


def _as_seen(image: Image.Image) -> np.ndarray:
    """What a person sees (of the first frame), (H, W, 3), uint8, BGR."""
    if image.mode.startswith('I'):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])


def _has_all_strips(image: Image.Image, size: int) -> bool:
    """Whether a TIFF file of a size in bytes can hold what its header says."""
    tags = image.tag_v2
    for offsets, counts in ((273, 279), (324, 325)):
        if any(start + length > size for start, length in zip(
                tags.get(offsets, ()), tags.get(counts, ()))):
            return False
    bits = sum(tags.get(258, (1, )))
    most = _MOST_PACKED.get(image.info.get('compression'))
    return not most or image.width * image.height * bits <= 8 * most * size


def _is_plain(image: Image.Image) -> bool:
    """Whether every OpenCV decodes such an image as it looks."""
    if image.format in ('JPEG', 'MPO'):
        return image.mode in ('L', 'RGB')
    if image.format == 'TIFF':
        # Photometric, planar configuration, orientation.
        tags = [image.tag_v2.get(tag, 1) for tag in (262, 284, 274)]
        return (image.info.get('compression') in _MOST_PACKED
                and set(image.tag_v2.get(258, ())) == {8}
                and tags in ([1, 1, 1], [2, 1, 1])
                and image.mode in ('L', 'RGB'))
    return (image.mode in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA')
            and 'exif' not in image.info)


def _decode(path: str) -> Optional[np.ndarray]:
    """Decode as mmcv's LoadImageFromFile does."""
    return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)


def _decoding_fault(path: str, image: Image.Image) -> Optional[str]:
    """Compare what OpenCV makes of an image with what a person sees."""
    if image.width * image.height > _LARGE:
        with _one_large:
            return _difference(path, image)
    return _difference(path, image)


def _difference(path: str, image: Image.Image) -> Optional[str]:
    kind = f'{image.format}, {image.mode}'
    loaded = _decode(path)
    step = 1 if image.width * image.height <= _LARGE else _SPARSE
    if loaded is not None:
        height, width = loaded.shape[:2]
        # Not a view, so that the whole is gone before the next is decoded.
        loaded = loaded if step == 1 else loaded[::step, ::step].copy()
    image.load()
    if loaded is None:
        return f'not read by OpenCV ({kind})'
    ImageOps.exif_transpose(image, in_place=True)
    if image.size == (width, height):
        rows = _SPARSE * (1 + _LARGE // width // _SPARSE)
        far_off = 0
        for top in range(0, height, rows):
            seen = _as_seen(image.crop(
                (0, top, width, min(top + rows, height))))[::step, ::step]
            part = loaded[top // step:][:len(seen)]
            far_off += np.count_nonzero(cv2.absdiff(part, seen) > _FAR_OFF)
        if far_off <= _FRACTION * loaded.size:
            return None
    return f'shown differently by OpenCV ({kind})'
