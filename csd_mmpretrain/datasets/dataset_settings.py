"""Settings of datasets, wrapped or not."""
from copy import deepcopy
from typing import Iterator, List, Optional

from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset

from csd_mmpretrain.utils.type_name import type_name

REPEATING = ('RepeatDataset', 'ClassBalancedDataset')


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


def shared_pipeline(settings: dict) -> Optional[List[dict]]:
    """Find the pipeline of a data loader's images.

    Args:
        settings (dict): The ``dataset`` of the data loader.

    Returns:
        list[dict], optional: That of all datasets inside; None if none has
        one.

    Raises:
        ValueError: If they have different ones.
    """
    found = [source['pipeline'] for source in source_settings(settings)
             if 'pipeline' in source]
    if any(steps != found[0] for steps in found):
        raise ValueError('The datasets of a data loader have different '
                         'pipelines, so it is open how an image is loaded. '
                         'Give them the same, or name a config with one '
                         'dataset.')
    return found[0] if found else None


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
    return build_without_pipeline(_unrepeated(settings))


def _unrepeated(settings: dict) -> dict:
    if type_name(settings['type']) in REPEATING:
        return _unrepeated(settings['dataset'])
    inner = {}
    if settings.get('dataset'):
        inner['dataset'] = _unrepeated(settings['dataset'])
    if settings.get('datasets'):
        inner['datasets'] = [_unrepeated(part)
                             for part in settings['datasets']]
    return {**settings, **inner}
