"""The labelled images of a config, each once, for evaluating features."""
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.datasets.dataset_settings import build_each_once
from csd_mmpretrain.datasets.eval_images import EvalImages, eval_pipeline
from csd_mmpretrain.datasets.image_files import find_broken_images
from csd_mmpretrain.datasets.same_classes import check_same_classes


class LabelledImages(NamedTuple):
    """Images of a split.

    Attributes:
        loader (DataLoader): Over them, in the order of the dataset, with the
            pipeline of the test.
        paths (list[str]): The file of each; '' where there is none.
        classes (Sequence[str], optional): Names of the classes, where the
            dataset has them.
    """

    loader: DataLoader
    paths: List[str]
    classes: Optional[Sequence[str]]


def labelled_splits(cfg: Config,
                    model_cfg: Optional[Config] = None
                    ) -> Dict[str, LabelledImages]:
    """Load the training and the test images of a config.

    Args:
        cfg (Config): The whole config, of a classifier.
        model_cfg (Config, optional): See :func:`labelled_images`.

    Returns:
        dict[str, LabelledImages]: ``'train'`` and ``'test'``.

    Raises:
        ValueError, FileNotFoundError: See :func:`labelled_images`; also if
            the two have other classes.
    """
    images = {split: labelled_images(cfg, split, model_cfg)
              for split in ('test', 'train')}
    check_same_classes(images['train'].classes, images['test'].classes, 'test')
    return images


def labelled_images(cfg: Config,
                    split: str,
                    model_cfg: Optional[Config] = None) -> LabelledImages:
    """Load the images of a config's data loader as its test does.

    Images that a wrapper repeats come once, and no augmentation is random.

    Args:
        cfg (Config): The whole config, of a classifier.
        split (str): ``'train'`` or ``'test'``; where the config has no test
            data loader, that of the validation.
        model_cfg (Config, optional): That of the model, where it is another:
            images are loaded as its test does, if it says how. Defaults to
            None, as ``cfg`` does.

    Returns:
        LabelledImages: The images.

    Raises:
        ValueError: If the config has no such data, an image has not one
            class, or an image is broken.
        FileNotFoundError: If a folder or an image is missing.

    Example:
        ::

            loader = labelled_images(cfg, 'train').loader
    """
    name = f'{split}_dataloader'
    if split == 'test' and not cfg.get(name):
        name = 'val_dataloader'
    if not cfg.get(name):
        raise ValueError(
            f'The config has no {split}_dataloader. Evaluating features needs '
            'training and test images with labels: name a classification '
            'config that has them with `--data-config CONFIG`.')
    check_dataset_folders(cfg, (name, ))
    settings = cfg[name]
    pipeline = eval_pipeline(model_cfg or cfg, cfg)
    dataset = build_each_once(settings.dataset)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    for index, info in enumerate(infos):
        _check_label(name, info.get('gt_label'))
        info['sample_idx'] = index
    paths = [str(info.get('img_path') or '') for info in infos]
    for path, fault in find_broken_images(filter(None, paths)):
        error = FileNotFoundError if fault == 'missing' else ValueError
        raise error(f'{path!r} as an image: {fault}. Put a whole one there.')
    loader = Runner.build_dataloader(
        dict(
            batch_size=settings.get('batch_size', 32),
            num_workers=settings.get('num_workers', 0),
            dataset=EvalImages(infos, pipeline),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate')))
    return LabelledImages(loader, paths, dataset.metainfo.get('classes'))


def _check_label(name: str, label: Any) -> None:
    if not isinstance(label, (int, np.integer)):
        raise ValueError(
            f'{name}: an image has the label {label!r}, but one class number '
            'per image is needed. Give a dataset with one class per image; '
            'for a training without labels, name a classification config '
            'with `--data-config CONFIG`.')
