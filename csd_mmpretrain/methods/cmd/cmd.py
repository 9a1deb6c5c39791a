"""CMD: a student and its moving average, images and their bags of patches."""
from itertools import groupby
from typing import Dict, List, Optional, Tuple, Union

import torch
from mmpretrain.models.selfsup import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from csd_mmpretrain.layers.ema_teacher import EMATeacher
from csd_mmpretrain.layers.feature_map import (
    check_layout,
    check_prefix_tokens,
    to_tokens,
)

from .cmd_head import CropOutputs

PARTS = ('backbone', 'neck', 'region_neck', 'aggregator')


@MODELS.register_module()
class CMD(BaseSelfSupervisor):
    """Cross-level Multi-instance Distillation.

    The student sees all crops, the teacher, its exponential moving average,
    the first ``num_global_crops``. The last feature map's positions are a bag
    of instances. ``SelfDistillationHook`` moves the teacher. Without
    ``region_neck`` (and the head's terms of regions) it is DINO.

    Outside training, ``extract_feat`` gives the teacher's features, as this
    is the network that is kept.

    Args:
        backbone (dict): Any backbone whose last output is a feature map or
            tokens.
        neck (dict): A ``CMDNeck``, for images.
        head (dict): A ``CMDHead``.
        region_neck (dict, optional): A ``CMDNeck``, for patches. Defaults to
            None, no region level.
        aggregator (dict, optional): ``MeanBag`` or ``GatedAttentionBag``.
            Defaults to None, a ``MeanBag`` where there are bags.
        layout (str): What the backbone returns: ``'nchw'``, ``'nhwc'`` or
            ``'tokens'``. Defaults to ``'nchw'``.
        num_prefix_tokens (int): With ``'tokens'``, the leading tokens that
            are no positions; the first of them is then the feature of the
            image, else the mean of the positions is. Defaults to 0.
        num_global_crops (int): Q, the teacher's crops. Defaults to 2.
        data_preprocessor (dict, optional): Defaults to None, mmpretrain's
            ``SelfSupDataPreprocessor``.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        ValueError: If the parts do not fit each other, see the message.

    Source: CMD (arXiv 2401.08860).

    Example:
        ::

            model = dict(
                type='CMD',
                backbone=dict(type='MobileNetV2'),
                neck=dict(type='CMDNeck', in_channels=1280),
                region_neck=dict(type='CMDNeck', in_channels=1280),
                head=dict(type='CMDHead'))
            custom_hooks = [dict(type='SelfDistillationHook')]
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict,
                 head: dict,
                 region_neck: Optional[dict] = None,
                 aggregator: Optional[dict] = None,
                 layout: str = 'nchw',
                 num_prefix_tokens: int = 0,
                 num_global_crops: int = 2,
                 data_preprocessor: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(
            backbone=backbone,
            neck=neck,
            head=head,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg)
        check_layout('CMD', layout, num_prefix_tokens)
        if num_global_crops < 1:
            raise ValueError(f'CMD: num_global_crops={num_global_crops} must '
                             'be at least 1: the crops of the teacher.')
        self.layout = layout
        self.num_prefix_tokens = num_prefix_tokens
        self.num_global_crops = num_global_crops
        self.region_neck = _build(region_neck)
        if self.head.needs_regions:
            aggregator = aggregator or dict(type='MeanBag')
        self.aggregator = _build(aggregator)
        self._check()
        self.teacher = EMATeacher(self._student())
        self._register_load_state_dict_pre_hook(self._complete_teacher)

    def _student(self) -> Dict[str, nn.Module]:
        parts = {name: getattr(self, name) for name in PARTS}
        return {name: part for name, part in parts.items() if part is not None}

    def _check(self) -> None:
        if self.layout == 'tokens':
            check_prefix_tokens('CMD', self.num_prefix_tokens, self.backbone)
        if self.head.needs_regions and self.region_neck is None:
            raise ValueError(
                'CMD: the head has terms of regions (region_weight='
                f'{self.head.region_weight}, inter_weight='
                f'{self.head.inter_weight}), but there is no `region_neck`. '
                "Add region_neck=dict(type='CMDNeck', in_channels=...), or "
                'set both weights to 0.')
        if self.region_neck is not None and not self.head.needs_regions:
            raise ValueError(
                'CMD: the `region_neck` is of no use, as the head has '
                'region_weight=0 and inter_weight=0. Set one of them, or '
                'region_neck=None.')
        if not self.head.trains_image_neck:
            raise ValueError(
                'CMD: nothing trains the `neck` of whole images: the head has '
                f'image_weight=0, inter_weight={self.head.inter_weight} and '
                f'inter_target={self.head.inter_target!r}. Set image_weight, '
                "or inter_weight with inter_target='student'.")
        if self.aggregator is not None and not self.head.inter_weight and (
                list(self.aggregator.parameters())):
            raise ValueError(
                f'CMD: the aggregator {type(self.aggregator).__name__} learns '
                'from the term across levels alone, which has inter_weight=0. '
                'Set it, or aggregator=None.')
        for name in ('neck', 'region_neck'):
            neck = getattr(self, name)
            if neck is not None and (len(neck.prototypes)
                                     != self.head.num_prototypes):
                raise ValueError(
                    f'CMD: {name}.num_prototypes={len(neck.prototypes)}, but '
                    f'head.num_prototypes={self.head.num_prototypes}. Give '
                    'necks and head the same number.')

    def init_weights(self) -> None:
        super().init_weights()
        self.teacher.restart(self._student())

    def train(self, mode: bool = True) -> 'CMD':
        super().train(mode)
        self.teacher.follow_mode(self._student())
        return self

    def update_teacher(self, momentum: float) -> None:
        """Move the teacher towards the student, see ``EMATeacher``.

        Args:
            momentum (float): Fraction of the teacher's own weights.
        """
        self.teacher.follow(self._student(), momentum)

    @property
    def views_per_image(self) -> int:
        """The crops that there have to be; the pipeline gives more."""
        return max(2, self.num_global_crops)

    def extract_feat(self, inputs: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        """Compute the outputs of the teacher's backbone for (B, 3, H, W)."""
        return self.teacher['backbone'](inputs)

    @torch.no_grad()
    def look(self, inputs: torch.Tensor) -> CropOutputs:
        """Show images to the teacher, as they are.

        Args:
            inputs (Tensor): (B, 3, H, W), preprocessed images.

        Returns:
            CropOutputs: What the teacher gives for them, V = 1.
        """
        return self._run(self.teacher, [inputs])

    def loss(self, inputs: List[torch.Tensor],
             data_samples: List[DataSample]) -> Dict[str, torch.Tensor]:
        """Compute the losses of a batch.

        Args:
            inputs (list[Tensor]): Crops, (B, 3, H, W) each, the global ones
                first and those of one size next to each other.
            data_samples (list[DataSample]): Not used.

        Returns:
            dict: Those of :meth:`CMDHead.loss`.

        Raises:
            ValueError: If there are not enough crops.
        """
        count = self.num_global_crops
        if not isinstance(inputs, (list, tuple)) or len(inputs) <= 1 or (
                len(inputs) < count):
            found = f'{len(inputs)} crops' if isinstance(
                inputs, (list, tuple)) else 'one tensor'
            raise ValueError(
                f'CMD: the pipeline gives {found} for an image, but at least '
                f'{max(2, count)} are needed: {count} global ones first. Use '
                "dict(type='MultiView', num_views=[2, 8], transforms=[...]) "
                "and collate_fn=dict(type='default_collate').")
        if len({crop.shape for crop in inputs[:count]}) > 1:
            raise ValueError(
                f'CMD: the first num_global_crops={count} crops must have '
                'one size, but they have '
                f'{[tuple(crop.shape[2:]) for crop in inputs[:count]]}. Put '
                'the global crops first in MultiView.')
        with torch.no_grad():
            teacher = self._run(self.teacher, inputs[:count])
        student = nn.ModuleDict(self._student())
        return self.head.loss([
            self._run(student, list(crops))
            for _, crops in groupby(inputs, key=lambda crop: crop.shape)
        ], teacher)

    def _run(self, parts: nn.ModuleDict,
             crops: List[torch.Tensor]) -> CropOutputs:
        views = len(crops)
        feats = parts['backbone'](torch.cat(tuple(crops)))
        image, tokens = to_tokens(
            feats[-1] if isinstance(feats, (tuple, list)) else feats,
            self.layout, self.num_prefix_tokens)
        outputs = dict(image=parts['neck'](image))
        if self.region_neck is not None:
            outputs.update(
                region=parts['region_neck'](tokens),
                tokens=tokens,
                log_weights=parts['aggregator'](tokens))
        return CropOutputs(**{
            name: x.unflatten(0, (views, -1))
            for name, x in outputs.items()
        })

    def _complete_teacher(self, state_dict: dict, prefix: str, *_) -> None:
        self.teacher.complete(state_dict, prefix)


def _build(
        module: Optional[Union[dict, nn.Module]]) -> Optional[nn.Module]:
    return MODELS.build(module) if isinstance(module, dict) else module
