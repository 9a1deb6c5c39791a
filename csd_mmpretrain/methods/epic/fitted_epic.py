"""A fitted matrix with its prototypes, and its file."""
import hashlib
from dataclasses import dataclass, fields
from typing import Any, Dict, List, Tuple

import torch
from mmengine.dataset import Compose
from mmengine.model import BaseModel
from torch import nn

from csd_mmpretrain.checkpoints.checkpoint_files import save_plain
from csd_mmpretrain.checkpoints.pretrained import read_checkpoint
from csd_mmpretrain.utils.protocol import training_only_keys

from .disentanglement_matrix import DisentanglementMatrix
from .fit import Prototypes
from .pooled_classifier import PooledClassifier


def weights_hash(model: nn.Module) -> str:
    """Hash the weights and buffers that predictions depend on.

    Args:
        model (nn.Module): On any device.

    Returns:
        str: The first 16 hexadecimal digits of a SHA-256 of names, types and
        values; what only a training needs does not count.
    """
    digest = hashlib.sha256()
    unused = training_only_keys(model)
    for name, value in sorted(model.state_dict().items()):
        if not name.startswith(unused):
            shape = tuple(value.shape)
            digest.update(f'{name} {value.dtype} {shape}'.encode())
            value = value.detach().cpu().contiguous().reshape(-1)
            digest.update(value.view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def preprocessing_of(model: BaseModel, pipeline: Compose) -> str:
    """Write down how images are loaded and normalized.

    Args:
        model (BaseModel): Its data preprocessor normalizes.
        pipeline (Compose): The test's.

    Returns:
        str: A text that changes with any setting.
    """
    kind = model.data_preprocessor
    values = [f'{name}={getattr(kind, name).flatten().tolist()}'
              for name in ('mean', 'std') if hasattr(kind, name)]
    return f'{pipeline!r} {" ".join(values)} to_rgb={kind.to_rgb}'


@dataclass
class FittedEpic:
    """A matrix that was fitted on a classifier, and its prototypes.

    Args:
        classifier (str): Hash of the classifier's weights.
        preprocessing (str): Of the images.
        settings (dict): Of the fit.
        matrix (DisentanglementMatrix): U.
        files (list[str]): The training images.
        labels (list[int]): Their classes.
        classes (list[str]): Names of the classes.
        grid (tuple[int, int]): Height and width of the maps.
        before (Prototypes): Of the plain channels.
        after (Prototypes): Of the channels after U.
        dead_before (Tensor): (D,), bool: plain channels that no training
            image excites.
        dead_after (Tensor): The same after U.
        curve (list[dict]): See :func:`~csd_mmpretrain.methods.epic.fit.\
            fit_rounds`.
        unchanged (str): What is said of the predictions.
    """

    classifier: str
    preprocessing: str
    settings: Dict[str, Any]
    matrix: DisentanglementMatrix
    files: List[str]
    labels: List[int]
    classes: List[str]
    grid: Tuple[int, int]
    before: Prototypes
    after: Prototypes
    dead_before: torch.Tensor
    dead_after: torch.Tensor
    curve: List[Dict[str, Any]]
    unchanged: str

    def save(self, path: str) -> None:
        """Write a file of tensors and plain values.

        Args:
            path (str): Such as ``'epic.pth'``.
        """
        content = dict(vars(self), matrix=self.matrix.raw.detach().cpu(),
                       before=tuple(self.before), after=tuple(self.after))
        save_plain(content, path)

    @classmethod
    def load(cls, path: str) -> 'FittedEpic':
        """Read what :meth:`save` has written.

        Args:
            path (str): The file.

        Returns:
            FittedEpic: On the CPU.

        Raises:
            FileNotFoundError, ValueError: If there is no such file.
        """
        content = read_checkpoint(path)
        lacking = {field.name for field in fields(cls)} - set(content)
        fault = f'it lacks {", ".join(sorted(lacking))}'
        if not lacking:
            try:
                return cls(**dict(content, **_parts(content)))
            except (KeyError, IndexError, RuntimeError, TypeError,
                    ValueError) as error:
                fault = str(error)
        raise ValueError(f'{path} is no file of EPIC: {fault}. Fit it anew '
                         'with --overwrite.')

    def check(self, classifier: PooledClassifier, preprocessing: str,
              settings: Dict[str, Any]) -> None:
        """Raise a ValueError if it was fitted on something else.

        Args:
            classifier (PooledClassifier): The one to explain.
            preprocessing (str): How its images are loaded now.
            settings (dict): Of the fit, those that are asked for.
        """
        channels = classifier.weight.size(1)
        if channels != len(self.matrix.raw):
            raise ValueError(
                f'The matrix is for {len(self.matrix.raw)} channels, but the '
                f'classifier has {channels}. {_ANEW}')
        found = weights_hash(classifier.model)
        if found != self.classifier:
            raise ValueError(
                f'The matrix was fitted on the weights {self.classifier}, but '
                f'those of the classifier are {found}. {_ANEW}')
        if preprocessing != self.preprocessing:
            raise ValueError(
                'The matrix was fitted with another preprocessing of the '
                f'images:\n{self.preprocessing}\nbut now it is\n'
                f'{preprocessing}\n{_ANEW}')
        for name, value in settings.items():
            if self.settings[name] != value:
                raise ValueError(
                    f'The matrix was fitted with {name}={self.settings[name]}'
                    f', but {name}={value} is asked for. {_ANEW}')


def _parts(content: dict) -> dict:
    """Build what is no plain value, and check that all fits together."""
    settings, raw = content['settings'], content['matrix']
    matrix = DisentanglementMatrix(len(raw), settings['kind'],
                                   settings['parametrization'])
    with torch.no_grad():
        matrix.raw.copy_(raw)
    if not matrix.raw.isfinite().all():
        raise ValueError('its matrix is not finite')
    parts = dict(matrix=matrix)
    for name in ('before', 'after'):
        parts[name] = found = Prototypes(*content[name])
        images = found.images
        if len(images) != len(raw) or not (
                0 <= images.min() and images.max() < len(content['files'])):
            raise ValueError(f'its prototypes ({name}) are of other channels '
                             'or images')
    if len(content['labels']) != len(content['files']) or not (
            0 <= min(content['labels'])
            and max(content['labels']) < len(content['classes'])):
        raise ValueError('its labels do not fit its files and classes')
    return parts


_ANEW = ('Give the checkpoint and the config that it was fitted on, or fit a '
         'new one with tools/visualization/epic.py, into another --out or '
         'with --overwrite.')
