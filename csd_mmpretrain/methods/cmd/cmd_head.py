"""CMD's objective: image, region and cross-level distillation."""
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS

from csd_mmpretrain.layers.gather import batch_share

from .cross_level import (
    bag_distribution,
    image_distillation,
    inter_level,
    match_tokens,
    output_statistics,
    region_distillation,
)

INTER_TARGETS = ('student', 'teacher')


class CropOutputs(NamedTuple):
    """What one network gives for V crops of one size, of B images.

    Attributes:
        image (Tensor): (V, B, K), the image level's cosines.
        region (Tensor, optional): (V, B, N, K), the tokens' cosines.
        tokens (Tensor, optional): (V, B, N, C), the backbone's features.
        log_weights (Tensor, optional): (V, B, N), of the bags.
    """

    image: torch.Tensor
    region: Optional[torch.Tensor] = None
    tokens: Optional[torch.Tensor] = None
    log_weights: Optional[torch.Tensor] = None


@MODELS.register_module()
class CMDHead(BaseModule):
    r"""Distill the teacher's outputs, centered and sharpened.

    .. math::
        L = w_I L_I + w_R L_R + \lambda L_S

    with the equations of :mod:`csd_mmpretrain.methods.cmd.cross_level`, in
    float32. With ``region_weight=0`` and ``inter_weight=0`` (and
    ``image_weight=1``) it is DINO. The teacher's temperature comes from
    ``SelfDistillationHook``.

    Args:
        num_prototypes (int): K of the necks. Defaults to 65536.
        student_temp (float): tau_s. Defaults to 0.1.
        image_weight (float): w_I. Defaults to 0.5.
        region_weight (float): w_R. Defaults to 0.5.
        inter_weight (float): lambda. Defaults to 1.0.
        inter_target (str): What the student's bags are compared with: its
            own images (``'student'``, L_S) or the teacher's images of the
            other crops (``'teacher'``). Defaults to ``'student'``.
        center_momentum (float): Fraction of the old center. Defaults to 0.9.

    Raises:
        ValueError: If a temperature is not positive, a weight is negative or
            all are 0, the momentum lies outside [0, 1), or the target is
            unknown.

    Source: CMD; the bag's distribution and the cross-level divergence are
    choices. Logs ``inter_teacher`` (L_T, which has no gradient),
    ``teacher_entropy`` and ``teacher_deviation``, see
    :func:`~csd_mmpretrain.methods.cmd.cross_level.output_statistics`.

    Example:
        ::

            head=dict(type='CMDHead', num_prototypes=1024)
    """

    def __init__(self,
                 num_prototypes: int = 65536,
                 student_temp: float = 0.1,
                 image_weight: float = 0.5,
                 region_weight: float = 0.5,
                 inter_weight: float = 1.0,
                 inter_target: str = 'student',
                 center_momentum: float = 0.9) -> None:
        super().__init__()
        weights = dict(
            image_weight=image_weight,
            region_weight=region_weight,
            inter_weight=inter_weight)
        for name, value in weights.items():
            if value < 0:
                raise ValueError(f'CMDHead: {name}={value} must not be '
                                 'negative; 0 leaves the term out.')
        if not any(weights.values()):
            raise ValueError('CMDHead: image_weight, region_weight and '
                             'inter_weight are all 0, so there is nothing to '
                             'learn. Set one of them.')
        if num_prototypes <= 1:
            raise ValueError(f'CMDHead: num_prototypes={num_prototypes} must '
                             'be at least 2.')
        if student_temp <= 0:
            raise ValueError(f'CMDHead: student_temp={student_temp} divides '
                             'the cosines and must be positive.')
        if not 0 <= center_momentum < 1:
            raise ValueError(f'CMDHead: center_momentum={center_momentum} is '
                             'the fraction of the old center and must lie in '
                             '[0, 1).')
        if inter_target not in INTER_TARGETS:
            raise ValueError(f'CMDHead: unknown inter_target={inter_target!r};'
                             f' choose one of {", ".join(INTER_TARGETS)}.')
        self.num_prototypes = num_prototypes
        self.student_temp = student_temp
        self.teacher_temp: Optional[float] = None
        self.image_weight = image_weight
        self.region_weight = region_weight
        self.inter_weight = inter_weight
        self.inter_target = inter_target
        self.center_momentum = center_momentum
        self.register_buffer('image_center', torch.zeros(num_prototypes))
        if self.needs_regions:
            self.register_buffer('region_center', torch.zeros(num_prototypes))

    @property
    def needs_regions(self) -> bool:
        """Whether tokens have to be projected."""
        return self.region_weight > 0 or self.inter_weight > 0

    @property
    def trains_image_neck(self) -> bool:
        """Whether a term has a gradient for the projection of images."""
        return self.image_weight > 0 or (self.inter_weight > 0 and
                                         self.inter_target == 'student')

    def loss(self, student: List[CropOutputs],
             teacher: CropOutputs) -> Dict[str, torch.Tensor]:
        """Compute the terms of a batch, then move the centers.

        Args:
            student (list[CropOutputs]): Of all crops, those of one size
                together, the teacher's first.
            teacher (CropOutputs): Of the teacher's Q crops, no gradient.

        Returns:
            dict: ``loss_image``, ``loss_region`` and ``loss_inter``, each
            with its weight and left out if that is 0, and what is logged.

        Raises:
            RuntimeError: If no hook has set the teacher's temperature.
        """
        if self.teacher_temp is None:
            raise RuntimeError(
                'CMDHead: no hook sets the temperature of the teacher and '
                'moves its weights. Add to the config: custom_hooks='
                "[dict(type='SelfDistillationHook')].")
        with torch.autocast(teacher.image.device.type, enabled=False):
            terms = self._terms(student, teacher)
            share = batch_share(teacher.image.size(1), teacher.image)
            terms.update((name, value * share)
                         for name, value in terms.items() if 'loss' in name)
            self._move(self.image_center, teacher.image)
            if self.needs_regions:
                self._move(self.region_center, teacher.region)
        return terms

    def _terms(self, student: List[CropOutputs],
               teacher: CropOutputs) -> Dict[str, torch.Tensor]:
        target = self._teacher_log(teacher.image, self.image_center)
        image = torch.cat([self._student_log(s.image) for s in student])
        entropy, deviation = output_statistics(target[0].exp())
        terms = dict(teacher_entropy=entropy, teacher_deviation=deviation)
        if self.image_weight:
            terms['loss_image'] = self.image_weight * image_distillation(
                image, target.exp())
        if not self.needs_regions:
            return terms
        target_region = self._teacher_log(teacher.region, self.region_center)
        region = [self._student_log(s.region) for s in student]
        if self.region_weight:
            terms['loss_region'] = self.region_weight * self._regions(
                student, region, teacher.tokens, target_region.exp())
        if self.inter_weight:
            bags = torch.cat([
                bag_distribution(x, s.log_weights)
                for x, s in zip(region, student)
            ])
            loss = inter_level(
                bags, image) if self.inter_target == 'student' else (
                    _over_pairs(inter_level, bags, target))
            terms['loss_inter'] = self.inter_weight * loss
            terms['inter_teacher'] = inter_level(
                bag_distribution(target_region, teacher.log_weights), target)
        return terms

    def _regions(self, student: List[CropOutputs], region: List[torch.Tensor],
                 teacher_tokens: torch.Tensor,
                 target: torch.Tensor) -> torch.Tensor:
        crops = [(x, tokens) for s, group in zip(student, region)
                 for x, tokens in zip(group, s.tokens.detach())]
        targets = list(zip(target, teacher_tokens))

        def pair(crop: tuple, of_teacher: tuple) -> torch.Tensor:
            match = match_tokens(crop[1].float(), of_teacher[1].float())
            return region_distillation(crop[0], of_teacher[0], match)

        return _over_pairs(pair, crops, targets)

    def _student_log(self, cosines: torch.Tensor) -> torch.Tensor:
        return (cosines.float() / self.student_temp).log_softmax(-1)

    def _teacher_log(self, cosines: torch.Tensor,
                     center: torch.Tensor) -> torch.Tensor:
        cosines = cosines.detach().float() - center
        return (cosines / self.teacher_temp).log_softmax(-1)

    @torch.no_grad()
    def _move(self, center: torch.Tensor, cosines: torch.Tensor) -> None:
        """Move a center towards the mean over the batch of all ranks."""
        cosines = cosines.float().flatten(0, -2)
        count = cosines.new_full((1, ), len(cosines))
        total = torch.cat([cosines.sum(0), count])
        all_reduce(total)
        center.lerp_(total[:-1] / total[-1], 1 - self.center_momentum)


def _over_pairs(loss: Callable, crops: Sequence,
                teacher_crops: Sequence) -> torch.Tensor:
    """Average over pairs of a student's crop and another one, the teacher's.

    Of the student's crops those of the teacher come first.
    """
    losses = [
        loss(crop, target) for q, target in enumerate(teacher_crops)
        for v, crop in enumerate(crops) if v != q
    ]
    return torch.stack(losses).mean()
