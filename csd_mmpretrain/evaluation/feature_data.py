"""The labeled images of a config, each once, for evaluating features."""
from typing import Dict, List, NamedTuple, Optional, Sequence

import numpy as np
from mmengine.config import Config
from torch.utils.data import DataLoader, Dataset

from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.datasets.eval_images import eval_loader, eval_pipeline
from csd_mmpretrain.datasets.same_classes import (
    check_classes,
    dataset_classes,
    is_unseen,
)
from csd_mmpretrain.datasets.samples import list_infos


class LabelledImages(NamedTuple):
    """Images in the order of a dataset; the path '' means no file."""

    loader: DataLoader
    paths: List[str]
    classes: Optional[Sequence[str]]


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
    datasets = {split: _labelled_dataset(cfg, split)
                for split in ('test', 'train')}
    check_classes(datasets['train'], datasets['test'], 'test')
    seen = ()
    if is_unseen(datasets['test']):
        seen = dataset_classes(datasets['train']) or ()
    return {
        split: _labelled_images(
            cfg, split, dataset, seen if split == 'test' else (), model_cfg)
        for split, dataset in datasets.items()
    }


def _loader_name(cfg: Config, split: str) -> str:
    if split == 'test' and not cfg.get('test_dataloader'):
        return 'val_dataloader'
    return f'{split}_dataloader'


def _labelled_dataset(cfg: Config, split: str) -> Dataset:
    name = _loader_name(cfg, split)
    if not cfg.get(name):
        raise ValueError(
            f'The config has no {split}_dataloader. Evaluating features needs '
            'training and test images with labels: name a classification '
            'config that has them with `--data-config CONFIG`.')
    check_dataset_folders(cfg, (name, ))
    return build_without_pipeline(cfg[name].dataset)


def _labelled_images(cfg: Config, split: str, dataset: Dataset,
                     seen: Sequence[str],
                     model_cfg: Optional[Config]) -> LabelledImages:
    """Load each image of a split once, as the test does."""
    name = _loader_name(cfg, split)
    pipeline = eval_pipeline(model_cfg or cfg, cfg)
    infos = list_infos(dataset)
    for index, info in enumerate(infos):
        label = info.get('gt_label')
        if not isinstance(label, (int, np.integer)):
            raise ValueError(
                f'{name}: an image has the label {label!r}, but one class '
                'number per image is needed. Give a dataset with one class '
                'per image; for a training without labels, name a '
                'classification config with `--data-config CONFIG`.')
        info.update(sample_idx=index, gt_label=label + len(seen))
    classes = dataset_classes(dataset)
    return LabelledImages(
        eval_loader(infos, pipeline, cfg[name]),
        [str(info.get('img_path') or '') for info in infos],
        classes and [*seen, *classes])
