"""Telling whole image files from broken ones, cheaply."""
import os
from typing import Iterable, List, Optional, Tuple

import cv2
from PIL import Image, UnidentifiedImageError

EXTENSIONS = {
    '.bmp', '.gif', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff',
    '.webp'
}
MARKERS = ((b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82'), (b'\xff\xd8\xff',
                                                      b'\xff\xd9'))
TAIL = 64


def image_fault(path: str, decode: bool = False) -> Optional[str]:
    """Tell what is wrong with an image file.

    The first and last bytes decide: a PNG or JPEG file that ends with its end
    marker is whole. Anything else is decoded. A file whose extension is not
    that of an image (an array, say) only has to exist and not be empty.

    Args:
        path (str): A local file.
        decode (bool): Decode every image, so that damage in the middle is
            found too (milliseconds each, instead of microseconds). Defaults
            to False.

    Returns:
        str | None: 'missing', 'empty', 'truncated', 'not an image',
        'damaged', 'cannot be read (why)', or None if nothing is wrong.
    """
    try:
        with open(path, 'rb') as file:
            head = file.read(16)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            tail = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return 'missing'
    except OSError as error:
        return f'cannot be read ({error.strerror})'
    if not head:
        return 'empty'
    if os.path.splitext(path)[1].lower() not in EXTENSIONS:
        return None
    ends = [tail.find(end) >= 0 for start, end in MARKERS
            if head.startswith(start)]
    if ends == [True] and not decode:
        return None
    try:
        with Image.open(path) as image:
            image.load()
    except UnidentifiedImageError:
        if ends:
            return 'damaged' if ends[0] else 'truncated'
        by_opencv = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        return 'not an image' if by_opencv is None else None
    except Image.DecompressionBombError:
        return None
    except Exception as error:
        cut = ends == [False] or 'truncated' in str(error)
        return 'truncated' if cut else 'damaged'
    return None


def find_broken_images(paths: Iterable[str],
                       decode: bool = False) -> List[Tuple[str, str]]:
    """Find the image files that are missing or not whole.

    Args:
        paths (Iterable[str]): Local files.
        decode (bool): See :func:`image_fault`. Defaults to False.

    Returns:
        list[tuple[str, str]]: Path and fault of every broken file, in the
        order of ``paths``.

    Example:
        >>> find_broken_images(['whole.png', 'gone.png'])
        [('gone.png', 'missing')]
    """
    faults = ((path, image_fault(path, decode)) for path in paths)
    return [(path, fault) for path, fault in faults if fault]
