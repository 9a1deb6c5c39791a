"""Which images of a dataset a cache can keep, and how large they are."""
from multiprocessing.pool import ThreadPool
from typing import Iterator, List, NamedTuple, Sequence, Tuple

from mmcv.transforms import LoadImageFromFile
from PIL import Image
from torch.utils.data import Dataset

from .samples import list_samples, source_datasets

CHANNELS = dict(color=3, color_ignore_orientation=3, grayscale=1,
                grayscale_ignore_orientation=1)


class ImageKey(NamedTuple):
    """What the pixels of a decoded image depend on.

    Args:
        path (str): The local file.
        color_type (str): That of LoadImageFromFile.
        imdecode_backend (str): That of LoadImageFromFile.
    """

    path: str
    color_type: str
    imdecode_backend: str


class LoadingStep(NamedTuple):
    """A LoadImageFromFile in the pipeline of a dataset.

    Args:
        transforms (list): Those of the pipeline.
        position (int): The loader's place among them.
        keys (list[ImageKey]): Of the dataset's images, each once.
    """

    transforms: list
    position: int
    keys: List[ImageKey]

    @property
    def loader(self) -> LoadImageFromFile:
        """LoadImageFromFile: The transform itself."""
        return self.transforms[self.position]


def loading_steps(dataset: Dataset) -> Iterator[LoadingStep]:
    """Find what loads the images of a dataset.

    Subclasses of LoadImageFromFile may do something else and do not count,
    nor do files behind another backend than the local disk.

    Args:
        dataset (Dataset): Any dataset, or wrapper of datasets.

    Yields:
        LoadingStep: Those with any image.
    """
    for source in source_datasets(dataset):
        transforms = getattr(
            getattr(source, 'pipeline', None), 'transforms', [])
        loaders = [(position, transform)
                   for position, transform in enumerate(transforms)
                   if type(transform) is LoadImageFromFile]
        samples = list_samples(source) if loaders else []
        paths = list(dict.fromkeys(s.path for s in samples if s.path))
        for position, loader in loaders if paths else []:
            yield LoadingStep(transforms, position, [
                ImageKey(path, loader.color_type, loader.imdecode_backend)
                for path in paths
            ])


def decoded_size(key: ImageKey) -> int:
    """Read from its header how large an image is when it is decoded.

    Args:
        key (ImageKey): The image.

    Returns:
        int: Bytes; 0 if the header is not understood. With
        ``color_type='unchanged'`` that of 8 bits and 4 channels.
    """
    try:
        with Image.open(key.path) as image:
            width, height = image.size
    except Exception:
        return 0
    return width * height * CHANNELS.get(key.color_type, 4)


def decoded_sizes(keys: Sequence[ImageKey], limit: float,
                  workers: int) -> Tuple[List[int], int]:
    """Add up how large images are, and stop where it is too much.

    Args:
        keys (Sequence[ImageKey]): The images.
        limit (float): Bytes that are too much when exceeded.
        workers (int): Threads.

    Returns:
        tuple[list[int], int]: The size of each image, and of all. Where the
        limit is exceeded, no sizes, and an estimate of all by the images up
        to there.
    """
    sizes, total = [], 0
    with ThreadPool(workers) as pool:
        for size in pool.imap(decoded_size, keys, 16):
            sizes.append(size)
            total += size
            if total > limit:
                return [], total * len(keys) // len(sizes)
    return sizes, total
