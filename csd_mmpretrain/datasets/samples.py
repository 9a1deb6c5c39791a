"""The files and labels behind any mmpretrain dataset."""
import copy
import os
from typing import (
    Any,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Tuple,
    Union,
)

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset, Compose
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset

from .image_files import EXTENSIONS


class Sample(NamedTuple):
    """The local file of an image, if it has one, and its ``gt_label``.

    ``is_image`` tells whether the file must be an image that OpenCV reads,
    because LoadImageFromFile loads it or because of its extension.
    """

    path: Optional[str]
    label: Any
    is_image: bool = True


def source_datasets(dataset: Dataset) -> Iterator[Dataset]:
    """Yield the datasets inside of any wrappers such as ConcatDataset."""
    inner = getattr(dataset, 'datasets', None)
    if inner is None and hasattr(dataset, 'dataset'):
        inner = [dataset.dataset]
    if not inner:
        yield dataset
        return
    for part in inner:
        yield from source_datasets(part)


def labelled_dataset(owner: str, dataset: Union[dict, BaseDataset]
                     ) -> Tuple[BaseDataset, List[int]]:
    """Build a dataset of which a part is to be taken by its labels.

    Args:
        owner (str): What takes the part, for errors.
        dataset (dict | BaseDataset): Not a wrapper of another dataset.

    Returns:
        tuple[BaseDataset, list[int]]: The dataset and its labels, (N,).

    Raises:
        TypeError: If it is a wrapper of another.
        ValueError: If an image has not one class.
    """
    if isinstance(dataset, dict):
        dataset = DATASETS.build(dataset)
    if not isinstance(dataset, BaseDataset):
        inner = type(next(source_datasets(dataset))).__name__
        raise TypeError(
            f'{owner}: {type(dataset).__name__} is a wrapper. Put '
            f'{owner} around {inner} itself, and the other wrapper '
            f'around {owner}.')
    dataset.full_init()
    labels = [
        dataset.get_data_info(i).get('gt_label') for i in range(len(dataset))
    ]
    if not all(isinstance(label, (int, np.integer)) for label in labels):
        raise ValueError(
            f'{owner}: an image of {type(dataset).__name__} has not one '
            'class number. Give a dataset with one class per image.')
    return dataset, [int(label) for label in labels]


def with_infos(dataset: BaseDataset, infos: List[dict],
               **metainfo: Any) -> BaseDataset:
    """Give a dataset other images, with the same pipeline.

    Args:
        dataset (BaseDataset): It stays as it is.
        infos (list[dict]): What ``get_data_info`` is to tell.
        **metainfo: What changes in the dataset's ``metainfo``.

    Returns:
        BaseDataset: A shallow copy, which shares the transforms.
    """
    # BaseDataset.get_subset copies by a memo that outlives its objects, and
    # so may put another dataset in the place of a transform.
    part = copy.copy(dataset)
    part._metainfo = dict(dataset.metainfo, **metainfo)
    part.data_list = infos
    if part.serialize_data:
        part.data_bytes, part.data_address = part._serialize_data()
    return part


def list_infos(dataset: Dataset) -> List[dict]:
    """List what is known of each image, in order; repeated ones once."""
    return [source.get_data_info(index) for source in source_datasets(dataset)
            for index in range(len(source))]


def list_samples(dataset: Dataset) -> List[Sample]:
    """List the samples of a dataset in order, without loading images.

    Images that a wrapper repeats are listed once. Datasets that have no
    ``get_data_info`` contribute nothing.
    """
    samples = []
    for source in source_datasets(dataset):
        if not hasattr(source, 'get_data_info'):
            continue
        local = _reads_local_files(source)
        pipeline = getattr(source, 'pipeline', None)
        for index in range(len(source)):
            info = source.get_data_info(index)
            path = str(info.get('img_path') or '')
            samples.append(Sample(
                path if path and local and '://' not in path else None,
                info.get('gt_label'),
                is_image(path, pipeline)))
    return samples


def image_paths(samples: Iterable[Sample]) -> List[str]:
    """List the local image files of samples in order, each once."""
    return list(dict.fromkeys(s.path for s in samples if s.path))


def is_image(path: str, pipeline: Optional[Compose]) -> bool:
    """Whether a file must be an image that OpenCV reads.

    Args:
        path (str): The file.
        pipeline (Compose, optional): What loads it. Without a
            LoadImageFromFile, only files with an image's extension must.
    """
    return os.path.splitext(path)[1].lower() in EXTENSIONS or any(
        type(getattr(transform, 'loader', transform)) is LoadImageFromFile
        for transform in getattr(pipeline, 'transforms', []))


def _reads_local_files(dataset: Dataset) -> bool:
    """Whether no transform of a dataset reads through another backend."""
    pipeline = getattr(dataset, 'pipeline', None)
    return all(
        (getattr(transform, name, None) or {}).get('backend', 'local')
        in ('local', 'disk')
        for transform in getattr(pipeline, 'transforms', [])
        for name in ('backend_args', 'file_client_args'))
