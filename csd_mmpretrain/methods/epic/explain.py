"""Explaining predictions by the channels of a fitted matrix."""
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch

from csd_mmpretrain.runtime.undisturbed import same_modes
from csd_mmpretrain.visualization.activation_box import cell_box, enlarged
from csd_mmpretrain.visualization.explanation import (
    Explanation,
    Patch,
    Reason,
)
from csd_mmpretrain.visualization.rgb_images import to_rgb

from .fit import Prototypes
from .fitted_epic import FittedEpic
from .pooled_classifier import PooledClassifier
from .purity import mix_channels, peak_position

CHANNELS, SHOWN = 4, 5


def mixed_weight(weight: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
    """Give the linear layer after the matrix: A' = A U^-1.

    Args:
        weight (Tensor): A, (K, D).
        inverse (Tensor): U^-1, (D, D).

    Returns:
        Tensor: (K, D).

    Source: EPIC, the head after the matrix.
    """
    return weight @ inverse


def contributions(weight: torch.Tensor, pooled: torch.Tensor,
                  prediction: torch.Tensor) -> torch.Tensor:
    """Compute what each channel adds to the logit of a class.

    Because of the ReLU, the bias and the negative channels left out, they do
    not add up to the logit.

    Args:
        weight (Tensor): A', (K, D).
        pooled (Tensor): Means of the channels after the matrix, (B, D).
        prediction (Tensor): The class of each image, (B,), int64.

    Returns:
        Tensor: A'[prediction] * ReLU(pooled), (B, D).

    Source: EPIC, Algorithm 1.
    """
    return weight[prediction] * pooled.relu()


def channel_heat(channel: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Enlarge a channel's map to an image, as shares of its maximum.

    Args:
        channel (ndarray): (h, w), floating.
        size (tuple[int, int]): Height and width of the image.

    Returns:
        ndarray: (H, W), 0 to 1; 0 where the channel is not positive.

    Source: EPIC's fading; each map by its own maximum is a choice.
    """
    heat = np.maximum(enlarged(channel, size), 0)
    return heat / max(heat.max(), 1e-8)


def fade(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Fade an image to gray where a channel is not active.

    Args:
        image (ndarray): (H, W, 3), uint8.
        heat (ndarray): (H, W), 0 to 1.

    Returns:
        ndarray: (H, W, 3), uint8: gray + heat x (image - gray).

    Source: EPIC, the released code.
    """
    faded = 127.5 + heat[..., None] * (image - 127.5)
    return faded.round().astype(np.uint8)


class Photo(NamedTuple):
    """An image as the model sees it, and its channels after the matrix.

    Attributes:
        image (ndarray): (H, W, 3), uint8, RGB.
        maps (Tensor): U Z, (D, h, w), on the CPU.
        logits (Tensor): The classifier's own, (K,), on the CPU.
    """

    image: np.ndarray
    maps: torch.Tensor
    logits: torch.Tensor


class EpicExplainer:
    """Explains predictions of the classifier that a matrix was fitted on.

    Args:
        epic (FittedEpic): The fitted matrix.
        classifier (PooledClassifier): Its classifier.
        load (Callable): Takes the path of a training image and returns what
            the test pipeline makes of it.
        faded (bool): Whether images fade to gray where a channel is not
            active. Defaults to False.

    Raises:
        ValueError, FileNotFoundError: When it explains, if a prototype's
            photo is gone.

    Source: EPIC, Algorithm 1.
    """

    def __init__(self,
                 epic: FittedEpic,
                 classifier: PooledClassifier,
                 load: Callable[[str], dict],
                 faded: bool = False) -> None:
        self.epic = epic
        self.classifier = classifier
        self.load = load
        self.faded = faded
        matrix, inverse = epic.matrix.both()
        self.matrix = matrix.to(classifier.weight)
        self.weight = mixed_weight(classifier.weight,
                                   inverse.to(classifier.weight)).cpu()
        self._photos: Dict[str, Photo] = {}

    @torch.no_grad()
    def read(self, item: dict) -> Photo:
        """Compute what is shown of an image.

        Args:
            item (dict): What the test pipeline returns.

        Returns:
            Photo: On the CPU.
        """
        model = self.classifier.model
        with same_modes(model):
            model.eval()
            inputs = model.data_preprocessor(
                dict(inputs=[item['inputs']]))['inputs']
            maps, logits = self.classifier.read(inputs)
        maps = mix_channels(maps, self.matrix)
        return Photo(to_rgb(model, inputs)[0], maps[0].float().cpu(),
                     logits[0].float().cpu())

    def explain(self,
                items: Sequence[dict],
                num_channels: int = CHANNELS,
                num_prototypes: int = SHOWN) -> List[Explanation]:
        """Explain the prediction for each image.

        Args:
            items (Sequence[dict]): What the test pipeline returns for each.
            num_channels (int): Channels at most, the best of them always;
                others that add nothing are left out. Defaults to 4.
            num_prototypes (int): Prototypes of a channel at most. Defaults to
                5.

        Returns:
            list[Explanation]: One per image.
        """
        return [self._explain(item, num_channels, num_prototypes)
                for item in items]

    def prototype_patches(self, channel: int, num: int,
                          plain: bool = False) -> List[Patch]:
        """Show the prototypes of a channel.

        Args:
            channel (int): Its number.
            num (int): At most so many.
            plain (bool): Whether of the channel before the matrix, without
                heat. Defaults to False.

        Returns:
            list[Patch]: The best first.
        """
        epic = self.epic
        found: Prototypes = epic.before if plain else epic.after
        patches = []
        for image, cell in zip(found.images[channel].tolist()[:num],
                               found.cells[channel].tolist()):
            path = epic.files[image]
            if path not in self._photos:
                self._photos[path] = self.read(self.load(path))
            patches.append(
                self._patch(self._photos[path], None if plain else channel,
                            cell, path, epic.classes[epic.labels[image]]))
        return patches

    def _patch(self, photo: Photo, channel: Optional[int],
               cell: Sequence[int], source: str, class_name: str) -> Patch:
        image, size = photo.image, photo.image.shape[:2]
        heat = None
        if channel is not None:
            heat = channel_heat(photo.maps[channel].numpy(), size)
            if self.faded:
                image, heat = fade(image, heat), None
        return Patch(image, cell_box(cell, photo.maps.shape[1:], size),
                     source, class_name, heat)

    def _explain(self, item: dict, num_channels: int,
                 num_prototypes: int) -> Explanation:
        photo, sample = self.read(item), item['data_samples']
        classes = self.epic.classes
        source = str(sample.get('img_path') or '')
        pooled = self.classifier.pooled(photo.maps.mean((1, 2))[None])
        prediction = int(photo.logits.argmax())
        points = contributions(self.weight, pooled,
                               torch.tensor([prediction]))[0]
        top = points.topk(min(num_channels, len(points)))
        label = sample.get('gt_label')
        true_class = '' if label is None else classes[int(label)]
        reasons = []
        for value, channel in zip(top.values.tolist(), top.indices.tolist()):
            if value <= 0 and reasons:
                break
            cell = peak_position(photo.maps[None], torch.tensor([channel]))[0]
            reasons.append(
                Reason(
                    name=f'channel {channel}',
                    part=self._patch(photo, channel, cell.tolist(), source,
                                     true_class),
                    prototypes=self.prototype_patches(channel,
                                                      num_prototypes),
                    similarity=max(pooled[0, channel].item(), 0),
                    weight=self.weight[prediction, channel].item(),
                    points=value))
        logit = photo.logits[prediction].item()
        return Explanation(
            image=photo.image,
            source=source,
            class_name=classes[prediction],
            true_class=true_class,
            score=photo.logits.softmax(0)[prediction].item(),
            logit=logit,
            rest=logit - sum(reason.points for reason in reasons),
            reasons=reasons)
