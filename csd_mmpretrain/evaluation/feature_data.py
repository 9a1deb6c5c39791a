"""The labeled images of a config, each once, for evaluating features."""
from typing import Dict, List, NamedTuple, Optional, Sequence

import numpy as np
from mmengine.config import Config
from torch.utils.data import DataLoader

from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.datasets.eval_images import eval_loader, eval_pipeline
from csd_mmpretrain.datasets.same_classes import (
    check_same_classes,
    check_unseen_classes,
    is_unseen,
)
from csd_mmpretrain.datasets.samples import list_infos


class LabelledImages(NamedTuple):
    """Images in the order of a dataset; the path '' means no file.

    ``unseen`` tells that no training may see their classes.
    """

    loader: DataLoader
    paths: List[str]
    classes: Optional[Sequence[str]]
    unseen: bool = False


def labelled_splits(cfg: Config,
                    model_cfg: Optional[Config] = None
                    ) -> Dict[str, LabelledImages]:
    """Load the ``'train'`` and ``'test'`` images of a config.

    Args:
        cfg (Config): The whole config, of a classifier; its validation data
            are the test images where there is no test data.
        model_cfg (Config, optional): That of the model, whose test pipeline
            is preferred. Defaults to None, ``cfg``.

    Returns:
        dict[str, LabelledImages]: By split. Unseen classes of the test
        (:func:`~csd_mmpretrain.datasets.class_split.ClassSplit`) are numbered
        after those of the training.

    Raises:
        FileNotFoundError: If a folder or an image is missing.
        ValueError: If the config has no such data, an image has not one class
            or is broken, or the classes of the splits differ.
    """
    images = {split: labelled_images(cfg, split, model_cfg)
              for split in ('test', 'train')}
    train, test = images['train'], images['test']
    check = check_unseen_classes if test.unseen else check_same_classes
    check(train.classes, test.classes, 'test')
    if test.unseen:
        seen = 1 + max(info['gt_label'] for info in train.loader.dataset.infos)
        seen = max(seen, len(train.classes or ()))
        for info in test.loader.dataset.infos:
            info['gt_label'] += seen
        if train.classes and test.classes:
            images['test'] = test._replace(
                classes=[*train.classes, *test.classes])
    return images


def labelled_images(cfg: Config,
                    split: str,
                    model_cfg: Optional[Config] = None) -> LabelledImages:
    """Load each image of a split once, as the test does.

    Args:
        cfg (Config): As in :func:`labelled_splits`.
        split (str): ``'train'`` or ``'test'``.
        model_cfg (Config, optional): As there.

    Returns:
        LabelledImages: Their samples have ``sample_idx``, the order.

    Raises:
        FileNotFoundError, ValueError: As there.
    """
    name = f'{split}_dataloader'
    if split == 'test' and not cfg.get(name):
        name = 'val_dataloader'
    if not cfg.get(name):
        raise ValueError(
            f'The config has no {split}_dataloader. Evaluating features needs '
            'training and test images with labels: give a classification '
            'config that has them, or, to tools/evaluate_features.py and '
            'tools/visualization/vis_retrieval.py, name one with '
            '`--data-config CONFIG`.')
    check_dataset_folders(cfg, (name, ))
    settings = cfg[name]
    pipeline = eval_pipeline(model_cfg or cfg, cfg)
    dataset = build_without_pipeline(settings.dataset)
    infos = list_infos(dataset)
    for index, info in enumerate(infos):
        label = info.get('gt_label')
        if not isinstance(label, (int, np.integer)):
            raise ValueError(
                f'{name}: an image has the label {label!r}, but one class '
                'number per image is needed. Give a dataset with one class '
                'per image; for a training without labels, name a '
                'classification config with `--data-config CONFIG` of '
                'tools/evaluate_features.py or '
                'tools/visualization/vis_retrieval.py.')
        info['sample_idx'] = index
    return LabelledImages(
        eval_loader(infos, pipeline, settings),
        [str(info.get('img_path') or '') for info in infos],
        dataset.metainfo.get('classes'), is_unseen(dataset))
