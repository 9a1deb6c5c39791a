"""Why ST-ProtoPNet gives a photo a class, and what its prototypes are."""
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel

from csd_mmpretrain.checkpoints.pretrained import read_checkpoint
from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.datasets.eval_images import eval_pipeline, load_items
from csd_mmpretrain.datasets.samples import list_infos
from csd_mmpretrain.visualization.activation_box import (
    enlarged,
    high_activation_box,
    min_max,
)
from csd_mmpretrain.visualization.explanation import (
    Explanation,
    Patch,
    Reason,
)
from csd_mmpretrain.visualization.rgb_images import to_rgb

from .prototype_hook import RECORD, relative_files
from .similarity import cosine_map
from .st_protopnet_head import BRANCHES, STProtoPNetHead

# A prototype and its cell differ by rounding alone.
SAME = 0.999


class Photo(NamedTuple):
    """A photo that the model saw.

    Attributes:
        image (ndarray): (H, W, 3), uint8, RGB.
        inputs (Tensor): (3, H, W), normalized.
        features (dict[str, Tensor]): The map of each branch, (D, h, w).
    """

    image: np.ndarray
    inputs: torch.Tensor
    features: Dict[str, torch.Tensor]


class PrototypeExplainer:
    """Explain predictions of ``STProtoPNetHead`` by parts of training photos.

    The prototypes must be those of a push: each is a cell of a training
    photo, which is shown.

    Args:
        cfg (Config): The whole config; its training photos are shown as the
            test pipeline loads them.
        checkpoint (str): A .pth file, whose last training of the prototypes
            was followed by a push.
        device (str): Defaults to ``'cpu'``.

    Attributes:
        model (BaseModel): In evaluation mode.
        record (dict): What the training has kept: ``sources`` of the
            prototypes, and ``rows`` of its table.
        classes (Sequence[str]): Their names.

    Raises:
        TypeError: If the head is no ``STProtoPNetHead``.
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If the checkpoint does not fit, or its prototypes were
            not pushed, or trained further after their push.

    Example:
        ::

            explainer = PrototypeExplainer(cfg, 'epoch_30.pth')
            explanation = explainer.explain(dict(img_path='photo.jpg'))
    """

    def __init__(self, cfg: Config, checkpoint: str,
                 device: str = 'cpu') -> None:
        loaded = load_model(cfg, checkpoint, device)
        self.cfg = cfg
        self.model: BaseModel = loaded.model
        if not isinstance(self.model.head, STProtoPNetHead):
            raise TypeError(
                'PrototypeExplainer explains STProtoPNetHead, but the head '
                f'is {type(self.model.head).__name__}. Give a config of '
                'configs/st_protopnet, or use '
                'tools/visualization/vis_cam.py.')
        if not loaded.has_classifier:
            raise ValueError(
                f"{checkpoint} holds no head that fits the config's. Give "
                'the config that it was trained with.')
        meta = read_checkpoint(checkpoint).get('meta') or {}
        self.record = meta.get(RECORD) or {}
        self.classes = loaded.classes or [
            f'class {i}' for i in range(self.model.head.num_classes)]
        if not self.record.get('sources'):
            raise ValueError(
                f'{checkpoint}: its prototypes are no parts of training '
                'photos, because it was saved before a push, or trained on '
                'after it. Give the last checkpoint of a training with '
                'PrototypeHook, or one from between a push and the end of '
                'its tuning.')
        if not self._is_whole(self.record['sources']):
            raise ValueError(f'{checkpoint}: its record of prototypes does '
                             'not fit its head. Give another checkpoint.')
        infos = list_infos(build_without_pipeline(
            cfg.train_dataloader.dataset))
        paths = [info['img_path'] for info in infos]
        self._infos = dict(zip(relative_files(paths), infos))
        self._pipeline = eval_pipeline(cfg)
        self._photos: Dict[str, Photo] = {}

    def _is_whole(self, sources: Any) -> bool:
        try:
            return all(
                len(sources[name]['file']) == len(sources[name]['cell'])
                == len(getattr(self.model.head, name).prototypes)
                and {*map(type, sources[name]['file'])} <= {str}
                and all(isinstance(place, int) and place >= 0
                        for y, x in sources[name]['cell'] for place in (y, x))
                for name in BRANCHES)
        except (KeyError, TypeError, ValueError):
            return False

    def photo(self, info: dict) -> Photo:
        """Load a photo with the test pipeline, and compute its maps.

        Args:
            info (dict): What a dataset's ``get_data_info`` tells of it, or
                its ``img_path`` alone.

        Returns:
            Photo: The image and the branches' maps.

        Raises:
            FileNotFoundError, ValueError: If there is none, or it is broken.
        """
        return self._look(load_items([info], self._pipeline)[0])

    @torch.no_grad()
    def _look(self, item: dict) -> Photo:
        data = self.model.data_preprocessor(dict(
            inputs=[item['inputs']], data_samples=[item['data_samples']]))
        maps = self.model.head.branch_maps(
            self.model.extract_feat(data['inputs']))
        return Photo(to_rgb(self.model, data['inputs'])[0], data['inputs'][0],
                     {name: features[0] for name, features in maps.items()})

    def prototype(self, name: str, index: int) -> Patch:
        """Show where a prototype is from.

        Args:
            name (str): ``'trivial'`` or ``'support'``.
            index (int): Its number in the branch.

        Returns:
            Patch: The training photo, with the box and the heat of the
            prototype.

        Raises:
            FileNotFoundError: If the photo is not there.
            ValueError: If its cell is not the prototype.
        """
        source = self.record['sources'][name]
        path = source['file'][index]
        if path not in self._infos:
            raise ValueError(
                f'{path}: the prototype {index} of the {name} branch is from '
                "this photo, which is none of the config's training photos. "
                'Give the config and the data of the training.')
        if path not in self._photos:
            self._photos[path] = self.photo(self._infos[path])
        photo = self._photos[path]
        branch = getattr(self.model.head, name)
        y, x = source['cell'][index]
        cosine = cosine_map(photo.features[name][None],
                            branch.prototypes[index:index + 1])[0, 0]
        if not (y < len(cosine) and x < len(cosine[0])
                and cosine[y, x] > SAME):
            raise ValueError(
                f'{path}: its cell {y}, {x} is not the prototype {index} of '
                f'the {name} branch that was made of it. The photo, the '
                'test pipeline or the weights have changed since the push: '
                'give the config, the data and the checkpoint of one '
                'training.')
        label = index // self.model.head.num_prototypes
        return self._patch(photo, name, index, self._infos[path]['img_path'],
                           self.classes[label])

    @torch.no_grad()
    def _patch(self, photo: Photo, name: str, index: int, path: str,
               class_name: str) -> Patch:
        heat = self._similarity(photo, name)[index].cpu().numpy()
        size = photo.image.shape[:2]
        return Patch(photo.image, high_activation_box(heat, size), path,
                     class_name, min_max(enlarged(heat, size)))

    @torch.no_grad()
    def _similarity(self, photo: Photo, name: str) -> torch.Tensor:
        branch = getattr(self.model.head, name)
        return branch.similarity(photo.features[name][None])[0]

    @torch.no_grad()
    def explain(self, info: dict, label: Optional[int] = None,
                num: int = 3) -> Explanation:
        """Explain the class of a photo.

        Args:
            info (dict): As in :meth:`photo`; with ``gt_label`` the true class
                is named, too.
            label (int, optional): The class to explain. Defaults to None,
                the predicted one.
            num (int): Reasons of each branch, those with the most points.
                Defaults to 3.

        Returns:
            Explanation: The points of all reasons and ``rest`` add up to
            the logit.

        Raises:
            FileNotFoundError, ValueError: As :meth:`photo` and
                :meth:`prototype`.
        """
        photo, path = self.photo(info), info['img_path']
        true_class = ''
        if 'gt_label' in info:
            true_class = self.classes[int(info['gt_label'])]
        head = self.model.head
        activations = {name: self._similarity(photo, name).flatten(1).max(1)
                       .values for name in BRANCHES}
        logits = sum(branch.last_layer(activations[name])
                     for name, branch in head.branches())
        label = int(logits.argmax()) if label is None else label
        reasons = []
        for name, branch in head.branches():
            weights = branch.last_layer.weight[label]
            points = weights * activations[name]
            for j in points.argsort(descending=True)[:num].tolist():
                reasons.append(Reason(
                    f'{name} prototype {j}',
                    self._patch(photo, name, j, path, true_class),
                    [self.prototype(name, j)], float(activations[name][j]),
                    float(weights[j]), float(points[j])))
        reasons.sort(key=lambda reason: -reason.points)
        logit = float(logits[label])
        return Explanation(
            photo.image, path, self.classes[label], true_class,
            float(logits.softmax(0)[label]), logit,
            logit - sum(reason.points for reason in reasons), reasons)

    def class_prototypes(self,
                         label: int) -> Tuple[List[Patch], List[str]]:
        """Show all prototypes of a class.

        Args:
            label (int): The class.

        Returns:
            tuple[list[Patch], list[str]]: Those of the trivial and then of
            the support branch, and a caption for each.

        Raises:
            FileNotFoundError, ValueError: As :meth:`prototype`.
        """
        number = self.model.head.num_prototypes
        chosen = [(name, j) for name in BRANCHES
                  for j in range(label * number, (label + 1) * number)]
        return ([self.prototype(*one) for one in chosen],
                [f'{name} {j}' for name, j in chosen])

    def heat(self, photo: Photo, label: int) -> np.ndarray:
        """Draw where a photo is like the prototypes of a class.

        Args:
            photo (Photo): As :meth:`photo` loads it.
            label (int): The class.

        Returns:
            np.ndarray: (H, W), 0 to 1.

        Source: ST-ProtoPNet's evaluation of localisation.
        """
        number = self.model.head.num_prototypes
        own = slice(label * number, (label + 1) * number)
        maps = {name: self._similarity(photo, name)[own].cpu().numpy()
                for name in BRANCHES}
        return class_heat(maps['trivial'], maps['support'],
                          photo.image.shape[:2])


def class_heat(trivial: np.ndarray, support: np.ndarray,
               size: Tuple[int, int]) -> np.ndarray:
    """Average the similarity maps of a class into one heat map.

    Args:
        trivial (np.ndarray): (K, h, w), of the class's trivial prototypes.
        support (np.ndarray): (K, h, w), of its support prototypes.
        size (tuple[int, int]): Height and width of the image.

    Returns:
        np.ndarray: (H, W), enlarged bicubically, from 0 to 1; zeros where
        the map is constant.

    Source: ST-ProtoPNet's code: half the mean map of each branch.

    Example:
        >>> import numpy as np
        >>> class_heat(np.eye(3)[None], np.eye(3)[None], (6, 6)).shape
        (6, 6)
    """
    heat = (trivial.mean(0) + support.mean(0)) / 2
    return min_max(enlarged(heat, size))
