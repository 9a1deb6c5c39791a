"""The images of an embedding: some classes of a config's dataset."""
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from torch.utils.data import DataLoader

from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.datasets.eval_images import (
    eval_loader,
    eval_pipeline,
    spread,
)
from csd_mmpretrain.datasets.samples import list_infos

from .cam import find_category


def choose_images(
        cfg: Config,
        split: str = 'test',
        categories: Optional[Sequence[str]] = None,
        max_classes: int = 20,
        max_samples: int = 100) -> Tuple[DataLoader, Dict[int, str]]:
    """Choose images of some classes, loaded with the test pipeline.

    Args:
        cfg (Config): The whole config.
        split (str): Dataloader of the images: ``'train'``, ``'val'`` or
            ``'test'``. Defaults to ``'test'``.
        categories (Sequence[str], optional): Names or numbers of the
            classes. Defaults to None, ``max_classes`` of all.
        max_classes (int): Most classes, evenly chosen. Defaults to 20.
        max_samples (int): Most images per class, evenly chosen. Defaults to
            100.

    Returns:
        tuple[DataLoader, dict[int, str]]: Over the images, sorted by class,
        whose ``dataset.infos`` has their labels and paths; and the names of
        the classes.

    Raises:
        ValueError: If the config has no such dataloader or class, a class
            has no image, or an image is broken or has not one label.
        FileNotFoundError: If an image is missing.

    Example:
        ::

            loader, names = choose_images(cfg, categories=['Anjou', '12'])
    """
    loader_cfg = cfg.get(f'{split}_dataloader')
    if not loader_cfg:
        raise ValueError(f'--split {split}: the config has no '
                         f'{split}_dataloader. Choose another split, or give '
                         'a config that has it with --test-cfg.')
    dataset = build_without_pipeline(loader_cfg.dataset)
    by_class: Dict[int, List[dict]] = {}
    for info in list_infos(dataset):
        label = info.get('gt_label')
        if not isinstance(label, (int, np.integer)):
            raise ValueError(f'An image has the label {label!r}, but one '
                             'class number per image is needed. Give a '
                             'dataset with one class per image.')
        by_class.setdefault(int(label), []).append(info)
    classes = dataset.metainfo.get('classes')
    if categories is None:
        present = sorted(by_class)
        chosen = [present[i] for i in spread(len(present), max_classes)]
    else:
        chosen = sorted({find_category(name, classes) for name in categories})
    names = {label: f'class {label}' if classes is None else classes[label]
             for label in chosen}
    infos = []
    for label in chosen:
        members = by_class.get(label)
        if not members:
            raise ValueError(f'--class-idx: the {split} data has no image of '
                             f'class {names[label]}.')
        infos += [members[i] for i in spread(len(members), max_samples)]
    return eval_loader(infos, eval_pipeline(cfg), loader_cfg), names
