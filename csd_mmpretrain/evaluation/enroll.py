"""New classes without training: the nearest mean of features."""
from copy import deepcopy
from pathlib import Path
from typing import List, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.model import BaseModel
from torch.utils.data import DataLoader

from csd_mmpretrain.checkpoints.checkpoint_files import save_plain
from csd_mmpretrain.datasets.data_root import LOADERS
from csd_mmpretrain.datasets.dataset_settings import source_settings
from csd_mmpretrain.datasets.eval_images import eval_loader
from csd_mmpretrain.datasets.photos import read_photo_folder
from csd_mmpretrain.utils.protocol import takes_map
from csd_mmpretrain.utils.type_name import type_name

from .features import LabelledFeatures
from .similarity import unit_features

# Turns cosines into probabilities; the order of the classes is the same.
SCALE = 16.0


def class_means(found: LabelledFeatures, num_classes: int) -> torch.Tensor:
    """Average the features of each class on the unit sphere.

    Args:
        found (LabelledFeatures): (N, C) features and (N,) labels.
        num_classes (int): K; each class has an image.

    Returns:
        Tensor: (K, C), float32, unit vectors.

    Raises:
        ValueError: If a feature is not finite, or a class has no image.

    Source: the nearest class mean (Mensink et al. 2013) with normalized
    features, as in iCaRL (Rebuffi et al. 2017).

    Example:
        >>> import torch
        >>> same = LabelledFeatures(torch.eye(2), torch.tensor([1, 0]))
        >>> class_means(same, 2)
        tensor([[0., 1.],
                [1., 0.]])
    """
    counts = found.labels.bincount(minlength=num_classes)
    if not counts.all():
        raise ValueError(
            f'{int((counts == 0).sum())} of {num_classes} classes have no '
            'image to average, such as class '
            f'{int((counts == 0).nonzero()[0])}. Add images of them.')
    features = unit_features('features', found.features)
    sums = features.new_zeros(num_classes, features.size(1))
    return F.normalize(sums.index_add_(0, found.labels, features))


def means_accuracy(test: LabelledFeatures, means: torch.Tensor) -> float:
    """Compute the fraction of images whose nearest mean is their class's.

    Args:
        test (LabelledFeatures): (N, C) features and (N,) labels.
        means (Tensor): (K, C), of :func:`class_means`.

    Returns:
        float: Between 0 and 1.
    """
    nearest = (unit_features('features', test.features) @ means.T).argmax(1)
    return (nearest == test.labels).float().mean().item()


def folder_loader(folder: str, classes: Sequence[str], pipeline: Compose,
                  settings: dict) -> Tuple[DataLoader, List[str]]:
    """Load the photos of a folder that has a folder for each class.

    Args:
        folder (str): The folder.
        classes (Sequence[str]): The known classes, which keep their labels.
        pipeline (Compose): Of the test.
        settings (dict): A data loader's, as in ``eval_loader``.

    Returns:
        tuple[DataLoader, list[str]]: The photos; and the classes, to whose
        end those of the folder are added that are not known.

    Raises:
        FileNotFoundError, ValueError: If there is no photo, or one is broken.
    """
    photos = read_photo_folder(folder)
    names = [*classes, *sorted({p.label for p in photos} - {*classes})]
    numbers = {name: number for number, name in enumerate(names)}
    infos = [dict(img_path=str(Path(folder, photo.path)),
                  gt_label=numbers[photo.label]) for photo in photos]
    return eval_loader(infos, pipeline, settings), names


def save_enrolled(cfg: Config, model: BaseModel, means: torch.Tensor,
                  classes: Sequence[str], folder: Path) -> Tuple[Path, Path]:
    """Write a config and a checkpoint whose head compares with the means.

    The head is ``ArcFaceClsHead``, whose weights are the means, so that all
    tools take the result like a trained classifier.

    Args:
        cfg (Config): The whole config of the model.
        model (BaseModel): With its weights; its head is left out.
        means (Tensor): (K, C), of :func:`class_means`.
        classes (Sequence[str]): K names.
        folder (Path): Where ``enrolled.py`` and ``enrolled.pth`` go.

    Returns:
        tuple[Path, Path]: The two files.

    Raises:
        OSError: If the disk is full or read-only; an older file stays.
    """
    cfg = deepcopy(cfg)
    number, channels = means.shape
    if takes_map(cfg.model.head):
        cfg.model.neck = dict(type='GlobalAveragePooling')
    cfg.model.head = dict(
        type='ArcFaceClsHead', num_classes=number, in_channels=channels,
        scale=SCALE, margins=0.0)
    cfg.model.get('data_preprocessor', cfg.get('data_preprocessor', {})
                  )['num_classes'] = number
    for loader in filter(cfg.get, LOADERS):
        for source in source_settings(cfg[loader].dataset):
            if type_name(source.get('type')) == 'CustomDataset':
                source['classes'] = list(classes)
    state = {name: value.cpu() for name, value in model.state_dict().items()
             if not name.startswith('head.')}
    state['head.norm_product.weight'] = means.cpu()
    config, checkpoint = folder / 'enrolled.py', folder / 'enrolled.pth'
    save_plain(
        dict(meta=dict(dataset_meta=dict(classes=list(classes))),
             state_dict=state), str(checkpoint))
    cfg.dump(config)
    return config, checkpoint
