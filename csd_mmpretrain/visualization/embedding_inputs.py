"""The images of an embedding: some classes of a config's dataset."""
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from csd_mmpretrain.datasets.dataset_settings import build_each_once
from csd_mmpretrain.datasets.eval_images import (
    EvalImages,
    eval_pipeline,
    spread,
)
from csd_mmpretrain.datasets.image_files import find_broken_images

from .cam import find_category


class ChosenImages(NamedTuple):
    """Images to embed.

    Attributes:
        loader (DataLoader): Over them, in order.
        labels (list[int]): The class of each image.
        paths (list[str]): The file of each image; '' where there is none.
        names (dict[int, str]): The name of each chosen class.
    """

    loader: DataLoader
    labels: List[int]
    paths: List[str]
    names: Dict[int, str]


def choose_images(cfg: Config,
                  split: str = 'test',
                  categories: Optional[Sequence[str]] = None,
                  max_classes: int = 20,
                  max_samples: int = 100) -> ChosenImages:
    """Choose images of some classes of a config's dataset.

    They go through the pipeline that the config tests with.

    Args:
        cfg (Config): The whole config.
        split (str): ``'train'``, ``'val'`` or ``'test'``: whose dataloader.
            Defaults to ``'test'``.
        categories (Sequence[str], optional): Names or numbers of the
            classes. Defaults to None, all.
        max_classes (int): Without ``categories``, at most so many, evenly
            chosen. Defaults to 20.
        max_samples (int): At most so many images per class, evenly chosen.
            Defaults to 100.

    Returns:
        ChosenImages: The images, sorted by class.

    Raises:
        ValueError: If the config has no such dataloader, there is no such
            class, no image of a class, a broken image, or an image has not
            one label.
        FileNotFoundError: If an image is missing.

    Example:
        ::

            images = choose_images(cfg, categories=['Anjou', '12'])
    """
    loader_cfg = cfg.get(f'{split}_dataloader')
    if not loader_cfg:
        raise ValueError(f'--split {split}: the config has no '
                         f'{split}_dataloader. Choose another split, or give '
                         'a config that has it with --test-cfg.')
    dataset = build_each_once(loader_cfg.dataset)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    by_class = _by_class(infos)
    classes = dataset.metainfo.get('classes')
    if categories is None:
        present = sorted(by_class)
        chosen = [present[i] for i in spread(len(present), max_classes)]
    else:
        chosen = sorted({find_category(name, classes) for name in categories})
    indices = []
    for label in chosen:
        if label not in by_class:
            raise ValueError(f'--class-idx: the {split} data has no image of '
                             f'class {_name(label, classes)}.')
        members = by_class[label]
        indices += [members[i] for i in spread(len(members), max_samples)]
    paths = [str(infos[i].get('img_path') or '') for i in indices]
    for path, fault in find_broken_images(filter(None, paths)):
        error = FileNotFoundError if fault == 'missing' else ValueError
        raise error(f'{path!r} as an image: {fault}. Put a whole one there.')

    images = EvalImages([infos[i] for i in indices], eval_pipeline(cfg))
    loader = Runner.build_dataloader(
        dict(
            batch_size=loader_cfg.get('batch_size', 32),
            num_workers=loader_cfg.get('num_workers', 0),
            dataset=images,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate')))
    return ChosenImages(loader, [infos[i]['gt_label'] for i in indices],
                        paths,
                        {label: _name(label, classes) for label in chosen})


def _by_class(infos: Sequence[dict]) -> Dict[int, List[int]]:
    found: Dict[int, List[int]] = {}
    for index, info in enumerate(infos):
        label: Any = info.get('gt_label')
        if not isinstance(label, (int, np.integer)):
            raise ValueError(f'An image has the label {label!r}, but one '
                             'class number per image is needed. Give a '
                             'dataset with one class per image.')
        found.setdefault(int(label), []).append(index)
    return found


def _name(label: int, classes: Optional[Sequence[str]]) -> str:
    return f'class {label}' if classes is None else str(classes[label])
