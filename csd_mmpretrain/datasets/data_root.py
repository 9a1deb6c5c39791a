"""Checks of the environment variable, and of the data's folders and lists."""
import os
from typing import Sequence, Union

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS

from csd_mmpretrain.utils.type_name import type_name

from .dataset_settings import check_lists, source_settings

_VARIABLE = 'CSD_DATA_ROOT'
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def check_data_root_variable() -> None:
    """Raise ValueError if CSD_DATA_ROOT cannot be put into a config.

    mmengine pastes the variable into the text of a config, where a quote or
    a backslash breaks the parse, and it does not expand ``~``.
    """
    root = os.environ.get(_VARIABLE)
    if root is None:
        return
    if not root.strip():
        found = 'is set but empty'
    elif root.startswith('~'):
        found = f'is {root!r}, and `~` is not expanded'
    elif set(root) & set('\'"\\\n\r'):
        found = f'is {root!r}, with a quote, a backslash or a line break'
    else:
        return
    raise ValueError(
        f'The environment variable {_VARIABLE} {found}. Set it to the folder '
        "that holds the datasets' folders, written out in full and with "
        'forward slashes, or unset it to use ./data.')


def check_dataset_folders(cfg: Config,
                          loaders: Sequence[str] = LOADERS) -> None:
    """Check the folders and lists of the datasets, before they are built.

    This package's own datasets look for their folders themselves: they know
    several names of them, or draw the images on first use. They read their
    own lists, too; those of mmpretrain's ``CustomDataset`` are checked here.

    Args:
        cfg (Config): The whole config.
        loaders (Sequence[str]): The data loaders to look at. Defaults to all
            three.

    Raises:
        FileNotFoundError: If a dataset's ``data_root`` is no folder, or a
            list is missing.
        ValueError: If a list has a line that does not parse.
    """
    for loader in loaders:
        dataset = (cfg.get(loader) or {}).get('dataset') or {}
        for source in source_settings(dataset):
            kind, root = source.get('type'), str(source.get('data_root') or '')
            if (not root or os.path.isdir(root) or '://' in root
                    or _is_own(kind, cfg)):
                check_lists(source)
                continue
            raise FileNotFoundError(
                f'{loader}: there is no folder {root!r} for the dataset '
                f'{type_name(kind)}. Put the dataset there, or set the '
                f'environment variable {_VARIABLE} to the folder that holds '
                f'{os.path.basename(os.path.normpath(root))!r} (`~` is not '
                'expanded). docs/ tells how to get and lay out each dataset.')


def _is_own(kind: Union[str, type], cfg: Config) -> bool:
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        cls = kind if isinstance(kind, type) else DATASETS.get(kind)
    return cls is not None and cls.__module__.startswith('csd_mmpretrain.')
