"""The unlabelled photos of a training, with their features."""
from typing import List, NamedTuple, Optional, Sequence

import torch
from mmengine.config import Config
from mmengine.model import BaseModel

from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.datasets.eval_images import eval_loader, eval_pipeline
from csd_mmpretrain.datasets.samples import list_infos
from csd_mmpretrain.evaluation.features import collect_features


class UnlabelledPhotos(NamedTuple):
    """Photos in the order of the training data.

    Attributes:
        features (Tensor): (N, C), floating, of the neck.
        paths (list[str]): Their files.
        labels (Tensor, optional): (N,), int64, numbers of novel classes from
            0; None where the validation data does not tell them.
        novel_classes (Sequence[str]): Names of the novel classes, if any.
        known_classes (Sequence[str]): Names of the known classes.
    """

    features: torch.Tensor
    paths: List[str]
    labels: Optional[torch.Tensor]
    novel_classes: Sequence[str]
    known_classes: Sequence[str]


def unlabelled_photos(cfg: Config, model: BaseModel) -> UnlabelledPhotos:
    """Compute the features of a config's unlabelled training photos.

    Args:
        cfg (Config): Of stage 2. Labels come from its validation data, if
            that has the same photos.
        model (BaseModel): With weights.

    Returns:
        UnlabelledPhotos: As a test loads them.

    Raises:
        FileNotFoundError: If a folder or an image is missing.
        ValueError: If all training photos have labels.
    """
    check_dataset_folders(cfg, ('train_dataloader', ))
    dataset = build_without_pipeline(cfg.train_dataloader.dataset)
    infos = [info for info in list_infos(dataset)
             if info.get('gt_label') is None]
    if not infos:
        raise ValueError(
            'All photos of the train_dataloader have labels. Give the config '
            "of a discovery, whose training data is dict(type='NovelClasses', "
            '...) with unlabelled photos.')
    paths = [str(info['img_path']) for info in infos]
    num_known = dataset.metainfo['num_known']
    truth, names = {}, ()
    if cfg.get('val_dataloader'):
        judged = build_without_pipeline(cfg.val_dataloader.dataset)
        names = judged.metainfo.get('novel_classes', ())
        truth = {str(info['img_path']): info.get('gt_label')
                 for info in list_infos(judged)}
    labels = [truth.get(path) for path in paths]
    return UnlabelledPhotos(
        photo_features(cfg, model, infos), paths,
        None if None in labels else torch.tensor(labels) - num_known,
        names, dataset.metainfo['classes'][:num_known])


def photo_features(cfg: Config, model: BaseModel,
                   infos: List[dict]) -> torch.Tensor:
    """Compute the features of training photos, as a test loads them.

    Args:
        cfg (Config): With training data.
        model (BaseModel): With weights.
        infos (list[dict]): What the dataset tells of each photo.

    Returns:
        Tensor: (N, C), floating, of the neck.
    """
    # Photos need no label, but features are collected of labelled images.
    infos = [dict(info, gt_label=0) for info in infos]
    return collect_features(
        model, eval_loader(infos, eval_pipeline(cfg),
                           dict(cfg.train_dataloader, batch_size=64)),
        'neck').features
