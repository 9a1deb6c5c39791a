"""From the file of a fitted matrix to what explains predictions."""
from typing import Callable

from mmengine.config import Config
from mmengine.model import BaseModel

from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.datasets.eval_images import eval_pipeline, load_items
from csd_mmpretrain.datasets.samples import list_infos

from .explain import EpicExplainer
from .fitted_epic import FittedEpic, preprocessing_of
from .pooled_classifier import PooledClassifier


def photo_loader(cfg: Config) -> Callable[[str], dict]:
    """Make a function that loads training photos as the test pipeline does.

    The pipeline gets all that the dataset tells of a photo, such as the box
    that it is cropped to.

    Args:
        cfg (Config): The whole config.

    Returns:
        Callable: From the path of a photo to what the pipeline returns.
    """
    pipeline = eval_pipeline(cfg)
    dataset = build_without_pipeline(cfg.train_dataloader.dataset)
    infos = {info['img_path']: info for info in list_infos(dataset)}
    return lambda path: load_items(
        [infos.get(path, dict(img_path=path))], pipeline)[0]


def load_explainer(cfg: Config, model: BaseModel, path: str) -> EpicExplainer:
    """Read a fitted matrix to explain predictions with.

    Args:
        cfg (Config): The whole config.
        model (BaseModel): Its model, with the weights of the fit.
        path (str): The file, such as ``'epic.pth'``.

    Returns:
        EpicExplainer: For the model.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it was fitted on something else.
        TypeError: If the model's head is none that EPIC explains.

    Example:
        ::

            explainer = load_explainer(cfg, model, 'epic.pth')
            explanation, = explainer.explain([item])
    """
    classifier = PooledClassifier(model)
    epic = FittedEpic.load(path)
    epic.check(classifier, preprocessing_of(model, eval_pipeline(cfg)), {})
    return EpicExplainer(epic, classifier, photo_loader(cfg))
