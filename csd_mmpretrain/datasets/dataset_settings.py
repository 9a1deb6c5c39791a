"""Settings of datasets, wrapped or not."""
from copy import deepcopy
from typing import Iterator

from mmengine.dataset import (
    ClassBalancedDataset,
    ConcatDataset,
    RepeatDataset,
)
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset


def source_settings(settings: dict) -> Iterator[dict]:
    """Find the datasets inside wrappers such as ConcatDataset.

    Args:
        settings (dict): The ``dataset`` of a data loader.

    Yields:
        dict: The settings of those that wrap no other.

    Example:
        >>> [source['type'] for source in source_settings(
        ...     dict(type='RepeatDataset', times=2, dataset=dict(type='CUB')))]
        ['CUB']
    """
    inner = settings.get('datasets') or settings.get('dataset')
    if not inner:
        yield settings
        return
    for part in inner if isinstance(inner, (list, tuple)) else [inner]:
        yield from source_settings(part)


def build_without_pipeline(settings: dict) -> Dataset:
    """Build a dataset whose ``get_data_info`` or names are asked.

    Args:
        settings (dict): The ``dataset`` of a data loader.

    Returns:
        Dataset: It loads and transforms no image.

    Raises:
        FileNotFoundError: If its files are not there.
    """
    settings = deepcopy(settings)
    for source in source_settings(settings):
        if 'pipeline' in source:
            source['pipeline'] = []
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return DATASETS.build(settings)


def build_each_once(settings: dict) -> Dataset:
    """Build a dataset without pipeline in which no wrapper repeats an image.

    Args:
        settings (dict): The ``dataset`` of a data loader.

    Returns:
        Dataset: See :func:`build_without_pipeline`.
    """
    parts = list(_unrepeated(build_without_pipeline(settings)))
    if len(parts) == 1:
        return parts[0]
    return ConcatDataset(parts, ignore_keys=list(parts[0].metainfo))


def _unrepeated(dataset: Dataset) -> Iterator[Dataset]:
    if isinstance(dataset, (RepeatDataset, ClassBalancedDataset)):
        yield from _unrepeated(dataset.dataset)
    elif isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            yield from _unrepeated(part)
    else:
        yield dataset
