"""Reports of the broken images in the data of a run."""
from collections import defaultdict
from itertools import chain
from pathlib import Path
from typing import Iterable, Optional, Tuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset

from csd_mmpretrain.utils.cores import usable_cores
from csd_mmpretrain.utils.wording import first_names

from .data_root import LOADERS, check_dataset_folders
from .image_files import EXTENSIONS, find_broken_images
from .samples import image_paths, list_samples, source_datasets

WORKERS = min(8, usable_cores())
REMEDY = (
    'Unpack or copy the dataset again, check data_root (or CSD_DATA_ROOT), '
    'take these files out of the list, or convert those of unusual kinds '
    '(shown differently, not read, too large) to 8-bit RGB of a moderate '
    'size.')


def format_faults(broken: Iterable[Tuple[str, str]],
                  shown: Optional[int] = None) -> str:
    """Write a line for each fault with its count, and below it the files.

    Args:
        broken (Iterable[tuple[str, str]]): Path and fault of each file.
        shown (int, optional): Files of a fault to name. Defaults to None,
            all.

    Example:
        >>> print(format_faults([('a.png', 'empty'), ('b.png', 'empty')], 1))
        empty: 2
          a.png
          ... and 1 more
    """
    groups = defaultdict(list)
    for path, fault in broken:
        groups[fault].append(path)
    lines = []
    for fault, paths in sorted(groups.items()):
        lines += [f'{fault}: {len(paths)}', *(f'  {p}' for p in paths[:shown])]
        if len(paths) > len(paths[:shown]):
            lines.append(f'  ... and {len(paths[shown:])} more')
    return '\n'.join(lines)


def check_data(cfg: Config) -> bool:
    """Decode every image of a config's data, and print all broken ones.

    Image files that are left out for their extension are named, too.

    Returns:
        bool: Whether all images are whole.

    Raises:
        FileNotFoundError: If the data's folder is missing.
    """
    loaders = [name for name in LOADERS if cfg.get(name)]
    check_dataset_folders(cfg)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    datasets = [DATASETS.build(cfg[name].dataset) for name in loaders]
    paths = image_paths(chain(*map(list_samples, datasets)))
    broken = find_broken_images(paths, True, WORKERS, 'Decoding the data')
    print(f'{len(broken)} of {len(paths)} image files of '
          f'{", ".join(loaders)} are missing or broken.')
    if broken:
        print(format_faults(broken) + '\n' + REMEDY)
    sources = chain(*map(source_datasets, datasets))
    for text in filter(None, dict.fromkeys(map(_left_out_images, sources))):
        print(text)
    return not broken


def _left_out_images(dataset: Dataset) -> Optional[str]:
    """Name the images in its folders whose extension a dataset leaves out."""
    if not isinstance(dataset, CustomDataset) or dataset.ann_file:
        return None
    folder = Path(dataset.img_prefix)
    inside = '*/**/*' if dataset.with_label else '**/*'
    found = [
        str(path) for path in sorted(folder.glob(inside))
        if path.suffix.lower() in EXTENSIONS and path.is_file()
        and path.name[0] != '.' and not dataset.is_valid_file(path.name)
    ]
    if not found:
        return None
    return (
        f'Image files that are left out in {folder}: {len(found)} '
        f'({first_names(found, 3)}). The dataset reads '
        f'{", ".join(sorted(dataset.extensions))} alone. Convert them to one '
        'of these, or set `extensions` of the dataset.')
