"""Settings of datasets, wrapped or not."""
import os
from copy import deepcopy
from typing import Iterator, List, Optional, Sequence

from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset

from csd_mmpretrain.utils.type_name import type_name

from .annotation_list import check_class_list, check_image_list
from .stock_lists import check_stock_lists


def source_settings(settings: dict) -> Iterator[dict]:
    """Yield the settings of the datasets inside wrappers.

    Args:
        settings (dict): The ``dataset`` of a data loader.

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
    """Find the pipeline of all datasets inside; None if none has one.

    Args:
        settings (dict): The ``dataset`` of a data loader.

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


def check_lists(source: dict) -> None:
    """Check the lists that a dataset of mmpretrain will read.

    Args:
        source (dict): Settings of a dataset that is no wrapper. Looked at are
            those of ``CustomDataset``, and of the readers that
            :func:`check_stock_lists` knows.

    Raises:
        FileNotFoundError: If a list is missing.
        ValueError: If a list has a line that does not parse.
    """
    check_stock_lists(source)
    if type_name(source.get('type')) != 'CustomDataset':
        return
    classes, images = source.get('classes'), source.get('ann_file')
    if images and not os.path.isabs(os.path.expanduser(images)):
        images = os.path.join(source.get('data_root') or '', images)
    if images and '://' not in images:
        check_image_list(os.path.expanduser(images),
                         source.get('with_label', True))
    if isinstance(classes, str) and '://' not in classes:
        check_class_list(os.path.expanduser(classes))


def has_views(pipeline: Sequence[dict]) -> bool:
    """Tell whether a pipeline makes several views of an image for a test."""
    return any(type_name(step.get('type')) == 'TestTimeAug'
               for step in pipeline)


def build_without_pipeline(settings: dict) -> Dataset:
    """Build a dataset that loads and transforms no image.

    Args:
        settings (dict): The ``dataset`` of a data loader.

    Returns:
        Dataset: Tells files, labels and classes.

    Raises:
        FileNotFoundError: If its files are not there.
        ValueError: If a list has a line that does not parse.
    """
    settings = deepcopy(settings)
    for source in source_settings(settings):
        check_lists(source)
        if 'pipeline' in source:
            source['pipeline'] = []
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return DATASETS.build(settings)
