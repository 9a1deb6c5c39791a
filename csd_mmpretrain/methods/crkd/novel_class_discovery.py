"""Stage 2 of Cr-KD: find the classes of unlabelled photos."""
import hashlib
import os
from copy import deepcopy
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import torch
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from csd_mmpretrain.checkpoints.pretrained import (
    local_path,
    pretrained_cfg,
    read_checkpoint,
)

from .ncd_head import NCDHead

SOFT_LABELS = (
    'NovelClassDiscovery: it needs one label per labelled photo, but Mixup, '
    'CutMix or one-hot labels are on. Switch them off: `--cfg-options '
    'model.train_cfg=None data_preprocessor.batch_augments=None '
    'data_preprocessor.to_onehot=False`, or the same in the config.')


@MODELS.register_module()
class NovelClassDiscovery(ImageClassifier):
    """Discover classes among unlabelled photos, with the help of known ones.

    The student starts from the checkpoint of stage 1, all but its novel
    heads. The same checkpoint, frozen and in evaluation mode, is the teacher
    of the class relation. It is in neither the optimizer nor the state dict,
    which has the SHA-256 of its file: a resume needs the same file, a test
    none. ``NovelDiscoveryHook`` checks the data and keeps prototypes at
    length 1.

    Args:
        backbone (dict): That of stage 1.
        head (dict): An ``NCDHead`` with ``num_novel``.
        neck (dict, optional): That of stage 1. Defaults to None.
        num_large_crops (int): Q, views that give targets and class relations,
            the first ones. Defaults to 2.
        init_cfg (dict): ``type='Pretrained'`` with the ``checkpoint`` of
            stage 1. Needed for a training.
        **options: Of mmpretrain's ``ImageClassifier``. Its
            ``data_preprocessor`` is a ``MultiViewDataPreprocessor`` where it
            names no type.

    Attributes:
        teacher_sha256 (Tensor): (32,), uint8, of the teacher's file.
        known_classes (Sequence[str], optional): Their names in stage 1, once
            the teacher is loaded.

    Raises:
        TypeError: If the head is no ``NCDHead`` with novel classes.
        ValueError: If labels are to be mixed, or ``num_large_crops`` is
            below 1.

    Source: Cr-KD (Gu et al., ICCV 2023).

    Example:
        ::

            model = dict(
                type='NovelClassDiscovery',
                backbone=dict(type='MobileNetV2'),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='NCDHead', num_known=41, num_novel=40,
                          in_channels=1280),
                init_cfg=dict(type='Pretrained', checkpoint='stage1.pth'))
    """

    training_only_keys = ('teacher_sha256', )
    views_per_image = 2
    takes_unlabelled = True

    def __init__(self,
                 backbone: dict,
                 head: dict,
                 neck: Optional[dict] = None,
                 num_large_crops: int = 2,
                 data_preprocessor: Optional[dict] = None,
                 **options) -> None:
        data_preprocessor = dict(data_preprocessor or {})
        data_preprocessor.setdefault('type', 'MultiViewDataPreprocessor')
        super().__init__(
            backbone=backbone,
            neck=neck,
            head=head,
            data_preprocessor=data_preprocessor,
            **options)
        if not isinstance(self.head, NCDHead) or not self.head.novel:
            raise TypeError(
                'NovelClassDiscovery: it trains clusters of novel classes, '
                f'but the head {type(self.head).__name__} has none. Give an '
                'NCDHead with num_novel, the number of clusters; without any, '
                'train stage 1 with ImageClassifier.')
        if num_large_crops < 1:
            raise ValueError(
                f'NovelClassDiscovery: num_large_crops={num_large_crops} must '
                'be at least 1: the views that give targets.')
        if (self.data_preprocessor.batch_augments is not None
                or self.data_preprocessor.to_onehot):
            raise ValueError(SOFT_LABELS)
        self.num_large_crops = num_large_crops
        self.known_classes: Optional[Sequence[str]] = None
        self._teacher: Tuple[ImageClassifier, ...] = ()  # no submodule
        self.register_buffer(
            'teacher_sha256', torch.zeros(32, dtype=torch.uint8))
        self._register_load_state_dict_pre_hook(self._check_teacher)

    def describe(self) -> Dict[str, str]:
        """Name the teacher, for the run's header."""
        checkpoint = pretrained_cfg(self.init_cfg)['checkpoint']
        digest = bytes(self.teacher_sha256.tolist()).hex()
        return dict(teacher=f'{os.path.basename(checkpoint)} (sha256 '
                    f'{digest[:8]}...), frozen')

    def init_weights(self) -> None:
        """Start from stage 1, whose model is the teacher, too.

        Raises:
            FileNotFoundError: If the checkpoint is missing.
            ValueError: If none is named, or it is not of this model.
        """
        cfg = pretrained_cfg(self.init_cfg)
        if cfg is None:
            raise ValueError(
                'NovelClassDiscovery: it starts from a model of the known '
                'classes. Train stage 1, and name its checkpoint: '
                '`--cfg-options model.init_cfg.type=Pretrained '
                'model.init_cfg.checkpoint=FILE`.')
        path = local_path(cfg['checkpoint'])
        content = read_checkpoint(path)
        teacher = self._build_teacher(
            path, content.get('state_dict', content))
        super().init_weights()
        self._teacher = (teacher, )
        self.known_classes = (content.get('meta') or {}).get(
            'dataset_meta', {}).get('classes')
        digest = hashlib.sha256(Path(path).read_bytes()).digest()
        self.teacher_sha256.copy_(torch.tensor(list(digest)))

    def _build_teacher(self, path: str, state: dict) -> ImageClassifier:
        state = {name.removeprefix('module.'): value
                 for name, value in state.items()}
        known = state.get('head.known.weight')
        if known is None or len(known) != self.head.num_known:
            found = 'no NCDHead' if known is None else f'{len(known)} classes'
            raise ValueError(
                f'{path} is no stage 1 of this model: it has {found}, '
                f'expected an NCDHead of num_known={self.head.num_known}. '
                'Train stage 1 on the known classes of this config, or '
                'correct model.head.num_known.')
        teacher = ImageClassifier(
            backbone=deepcopy(self.backbone),
            neck=deepcopy(self.neck),
            head=NCDHead(self.head.num_known, self.head.in_channels))
        try:
            teacher.load_state_dict(state)
        except RuntimeError as error:
            first = str(error).splitlines()[1].strip()
            raise ValueError(
                f'{path} is no stage 1 of this model: {first} Give the '
                'checkpoint of the stage 1 that has the same backbone and '
                'neck.') from None
        return teacher.to(self.head.known.weight).eval().requires_grad_(False)

    def _apply(self, fn: Callable, *args: Any) -> 'NovelClassDiscovery':
        for teacher in self._teacher:
            teacher._apply(fn, *args)
        return super()._apply(fn, *args)

    def _check_teacher(self, state_dict: dict, prefix: str, *_) -> None:
        found = state_dict.get(f'{prefix}teacher_sha256')
        own = self.teacher_sha256.cpu()
        if found is not None and own.any() and not torch.equal(
                found.cpu(), own):
            raise ValueError(
                'NovelClassDiscovery: the checkpoint was trained with another '
                f'teacher (sha256 {bytes(found.tolist()).hex()[:8]}...) than '
                f'that of model.init_cfg ({bytes(own.tolist()).hex()[:8]}...).'
                ' Name its stage-1 file: `--cfg-options '
                'model.init_cfg.checkpoint=FILE`.')

    def loss(self, inputs: List[torch.Tensor],
             data_samples: List[DataSample]) -> Dict[str, torch.Tensor]:
        """Compute the losses of a batch.

        Args:
            inputs (list[Tensor]): Views, (B, 3, H, W) each, the large crops
                first.
            data_samples (list[DataSample]): B; those without ``gt_label`` are
                the unlabelled photos.

        Returns:
            dict: Those of :meth:`NCDHead.discover`.

        Raises:
            RuntimeError: If ``init_weights`` has not loaded the teacher.
            ValueError: If there are not two views.
        """
        count = len(inputs) if isinstance(inputs, (list, tuple)) else 1
        if count < max(2, self.num_large_crops):
            raise ValueError(
                f'NovelClassDiscovery: the pipeline gives {count} view of an '
                'image, but one view predicts what another says: at least '
                f'{max(2, self.num_large_crops)} are needed. Use '
                "dict(type='MultiView', num_views=2, transforms=[...]) and "
                "collate_fn=dict(type='default_collate').")
        if not self._teacher:
            raise RuntimeError('NovelClassDiscovery: there is no teacher. '
                               'Call init_weights() before the training.')
        labels, unlabelled = split_labels(data_samples, inputs[0].device)
        features = [self.head.pre_logits(self.extract_feat(view))
                    for view in inputs]
        relations = None
        if self.head.kd_weight:
            relations = self._relations(
                [view[unlabelled] for view in inputs[:self.num_large_crops]])
        return self.head.discover(features, labels, unlabelled,
                                  self.num_large_crops, relations)

    @torch.no_grad()
    def _relations(self, views: Sequence[torch.Tensor]) -> torch.Tensor:
        """Compute the teacher's cosines (Q, M, C_l) of unlabelled photos."""
        teacher, = self._teacher
        if not len(views[0]):  # not every backbone takes no image
            return views[0].new_zeros(len(views), 0, self.head.num_known)
        return torch.stack([
            teacher.head.known_cosines(
                teacher.head.pre_logits(teacher.extract_feat(view)))
            for view in views])


def split_labels(data_samples: Sequence[DataSample],
                 device: torch.device) -> Tuple[torch.Tensor, torch.Tensor]:
    """Tell labelled from unlabelled photos.

    Args:
        data_samples (Sequence[DataSample]): B; unlabelled ones have no
            ``gt_label``.
        device (torch.device): Of the labels.

    Returns:
        tuple[Tensor, Tensor]: (B,), int64, labels, 0 for unlabelled photos;
        and (M,), int64, places of these.

    Raises:
        ValueError: If a label is mixed.
    """
    if any('gt_score' in sample for sample in data_samples):
        raise ValueError(SOFT_LABELS)
    labels = [sample.get('gt_label') for sample in data_samples]
    hidden = torch.zeros(1, dtype=torch.int64, device=device)
    return (
        torch.cat([hidden if label is None else label for label in labels]),
        torch.tensor([i for i, label in enumerate(labels) if label is None],
                     dtype=torch.int64, device=device))
