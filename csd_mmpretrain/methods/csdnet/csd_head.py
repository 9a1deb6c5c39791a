"""CSDNet's head: a stock head on two views, with DDL and SSDT."""
from typing import Any, Dict, List, Optional, Sequence, Tuple
from zlib import crc32

import torch
from mmengine.model import BaseModule
from mmpretrain.models.heads import (
    ClsHead,
    ConformerHead,
    DeiTClsHead,
    VigClsHead,
)
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from csd_mmpretrain.layers.gather import batch_share
from csd_mmpretrain.layers.view_norm import view_norm

FITTING = ('LinearClsHead, StackedLinearClsHead, BoundedArcFaceClsHead, '
           'VisionTransformerClsHead, EfficientFormerClsHead or LeViTClsHead '
           'with distillation=False')


def _check_cls_head(head: nn.Module) -> None:
    """Refuse a head that does not turn (N, C) into (N, K), one label each."""
    name = type(head).__name__
    if not isinstance(head, ClsHead):
        reason = 'is not a single-label head (ClsHead) of mmpretrain'
    elif isinstance(head, (ConformerHead, DeiTClsHead, VigClsHead)):
        reason = 'does not take one pooled (N, C) feature'
    elif getattr(head, 'dist', False) or getattr(head, 'distillation', False):
        reason = 'has a distillation branch, which mmpretrain cannot train'
    else:
        reason = _probe(head)
    if reason:
        raise TypeError(f'CSDHead: cls_head {name} {reason}. Use {FITTING}.')


def _check_classes(head: nn.Module, contrast: Optional[nn.Module]) -> None:
    classes = getattr(contrast, 'num_classes', head.num_classes)
    if classes != head.num_classes:
        raise ValueError(
            f'CSDHead: contrast.num_classes={classes}, but cls_head has '
            f'{head.num_classes} classes. Set '
            f'model.head.contrast.num_classes={head.num_classes}.')


def _probe(head: ClsHead) -> Optional[str]:
    channels = getattr(head, 'in_channels', None)
    if not isinstance(channels, int):
        return None
    training = head.training
    head.eval()
    with torch.no_grad():
        logits = head((torch.zeros(2, channels), ))
    head.train(training)
    if isinstance(logits, torch.Tensor) and logits.shape[:-1] == (2, ):
        return None
    return 'does not return one (N, K) tensor of logits'


def _build(module: Optional[dict]) -> Optional[nn.Module]:
    return MODELS.build(module) if isinstance(module, dict) else module


# What the slots were called before they were named after what they take.
OLD_SLOTS = dict(ddl='contrast', ssdt='distill')


@MODELS.register_module()
class CSDHead(BaseModule):
    r"""Wrap a single-label head with the objective of CSDNet.

    :math:`L = L_{cls} + \alpha L_{qc} + \beta L_{ssdt}`, where the weights
    stand in the two losses. Of the features that the neck returns, the first
    half is the raw view and the second half the augmented one. Without
    ``SSDPHook`` there is one view. In test, the inner head is all there is.

    Args:
        cls_head (dict | ClsHead): A single-label head of mmpretrain, which
            takes one (N, C) feature and returns (N, K) logits: LinearClsHead,
            StackedLinearClsHead, BoundedArcFaceClsHead,
            VisionTransformerClsHead, EfficientFormerClsHead and LeViTClsHead
            with ``distillation=False``. What ArcFace scales is brought to unit
            scale for ``distill``, which then weighs little (docs/choices.md).
        contrast (dict | nn.Module, optional): A loss of the views' features
            and labels: ``DDLQueueLoss``, or another such as
            ``PairMarginLoss``. Defaults to None.
        distill (dict | nn.Module, optional): A loss of the two views' logits:
            ``SSDTLoss``. Defaults to None.
        aug_loss_weight (float): Weight of the augmented view's
            classification loss; 0 leaves it out. Defaults to 1.0.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Attributes:
        view_norm (str): How batch norms of ``cls_head`` treat the augmented
            view; ``SSDPHook`` sets it to its ``norm``.

    Raises:
        TypeError: If ``cls_head`` does not fit, or a slot has its old name.

    Source: the paper's objective; L_cls on both views is a choice.

    Example:
        ::

            head=dict(
                type='CSDHead',
                cls_head=dict(
                    type='LinearClsHead', num_classes=80, in_channels=1024),
                contrast=dict(
                    type='DDLQueueLoss', feat_dim=1024, queue_len=240),
                distill=dict(type='SSDTLoss'))
    """

    training_only_keys = ('contrast.', 'distill.')

    def __init__(self,
                 cls_head: dict,
                 contrast: Optional[dict] = None,
                 distill: Optional[dict] = None,
                 aug_loss_weight: float = 1.0,
                 init_cfg: Optional[dict] = None,
                 **old_slots: Any) -> None:
        _refuse(old_slots)
        super().__init__(init_cfg=init_cfg)
        self.cls_head = _build(cls_head)
        self.contrast = _build(contrast)
        self.distill = _build(distill)
        self.aug_loss_weight = aug_loss_weight
        self.view_norm = 'batch'
        _check_cls_head(self.cls_head)
        _check_classes(self.cls_head, self.contrast)
        self._register_load_state_dict_pre_hook(self._rename)

    @classmethod
    def plain_settings(cls, settings: dict) -> dict:
        """Give the settings of the inner head, see :mod:`utils.protocol`."""
        return settings['cls_head']

    def inference_model(self) -> nn.Module:
        """Give the inner head, all that a prediction needs."""
        return self.cls_head

    def describe(self) -> Dict[str, str]:
        """Write the objective with its weights, for the run's header."""
        terms = [f'{getattr(self.loss_module, "loss_weight", 1):g} x '
                 f'{type(self.loss_module).__name__}']
        if self.aug_loss_weight:
            terms.append(f'{self.aug_loss_weight:g} x (the same on the second '
                         'view)')
        for symbol, loss in (('alpha', self.contrast), ('beta', self.distill)):
            if loss is not None:
                settings = f' ({loss.extra_repr()})' * bool(loss.extra_repr())
                terms.append(f'{symbol}={getattr(loss, "loss_weight", 1):g} x '
                             f'{type(loss).__name__}{settings}')
        return dict(loss=' + '.join(terms))

    @property
    def loss_module(self) -> nn.Module:
        """The inner head's classification loss."""
        return self.cls_head.loss_module

    def __setattr__(self, name: str, value: Any) -> None:
        # SwitchRecipeHook assigns `head.loss_module`; torch would register a
        # module of that name here and the inner head would not see it.
        owner = self.cls_head if name == 'loss_module' else super()
        owner.__setattr__(name, value)

    def pre_logits(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        return self.cls_head.pre_logits(feats)

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        return self.cls_head(feats)

    def predict(
        self,
        feats: Tuple[torch.Tensor],
        data_samples: Optional[List[Optional[DataSample]]] = None
    ) -> List[DataSample]:
        return self.cls_head.predict(feats, data_samples)

    def loss(self, feats: Tuple[torch.Tensor],
             data_samples: List[DataSample]) -> Dict[str, torch.Tensor]:
        """Compute the losses of one batch.

        Args:
            feats (tuple[Tensor]): The last is (B, C), or (2B, C) with the
                raw view in the first half.
            data_samples (list[DataSample]): B of them.

        Returns:
            dict: ``loss_cls``; with two views ``loss_cls_aug``; the entries
            of ``contrast`` and ``distill``; what the inner head logs. Over
            several ranks, the mean of each loss is that of all their images,
            also where their batches differ in size.

        Raises:
            ValueError: If the features are not one or two views of the batch
                or not of the inner head's channels, ``distill`` has one view
                only, or ``contrast`` meets mixed labels.
        """
        views = self._split_views(feats[-1], len(data_samples))
        losses = dict()
        logits = []
        for i, view in enumerate(views):
            suffix, weight = ('_aug', self.aug_loss_weight) if i else ('', 1)
            with view_norm(self.cls_head, self.view_norm if i else 'shared'):
                view_losses, view_logits = self._classify(view, data_samples)
            logits.append(view_logits)
            loss = view_losses.pop('loss')
            if weight:
                losses[f'loss_cls{suffix}'] = weight * loss
            losses.update({k + suffix: v for k, v in view_losses.items()})
        if self.contrast is not None:
            images = [_images(data_samples)] if getattr(
                self.contrast, 'needs_images', False) else []
            losses.update(self.contrast(
                views, self._labels(data_samples), *images))
        if self.distill is not None:
            losses.update(self.distill(*logits))
        share = batch_share(len(data_samples), losses['loss_cls'])
        return {
            key: share * value if 'loss' in key else value
            for key, value in losses.items()
        }

    def _split_views(self, features: torch.Tensor,
                     batch: int) -> torch.Tensor:
        """Reshape (V * B, C) to (V, B, C)."""
        channels = getattr(self.cls_head, 'in_channels', None)
        if isinstance(channels, int) and channels != features.size(1):
            raise ValueError(
                f'CSDHead: cls_head.in_channels={channels}, but the features '
                f'have {features.size(1)} channels. Set `in_channels` of '
                "`cls_head` to the neck's channels.")
        num_views = len(features) / batch
        if num_views not in (1, 2):
            raise ValueError(
                f'CSDHead got {len(features)} features for {batch} images; '
                'it expects one per image, or two with SSDPHook.')
        if num_views == 1 and self.distill is not None:
            raise ValueError(
                'CSDHead: `distill` compares two views, but only one arrived. '
                "Add ssdp=dict(type='SSDPHook') to `default_hooks` (and leave "
                'it enabled), or set `model.head.distill=None`.')
        return features.unflatten(0, (-1, batch))

    def _classify(
        self, features: torch.Tensor, data_samples: List[DataSample]
    ) -> Tuple[Dict[str, torch.Tensor], Optional[torch.Tensor]]:
        """Return the inner head's losses and its logits at unit scale."""
        head = self.cls_head
        if type(head).loss is ClsHead.loss:
            logits = head((features, ))
            return head._get_loss(logits, data_samples), logits
        # The logits of its loss carry a margin; those to distill do not.
        logits = None
        if self.distill is not None:
            logits = head((features, )) / getattr(head, 'scale', 1)
        return head.loss((features, ), data_samples), logits

    def _labels(self, data_samples: Sequence[DataSample]) -> torch.Tensor:
        if 'gt_score' in data_samples[0]:
            raise ValueError(
                'CSDHead: `contrast` needs one label per image, but the batch '
                'carries mixed labels (`gt_score`). Switch Mixup and CutMix '
                'off: `--cfg-options model.train_cfg=None '
                'data_preprocessor.batch_augments=None '
                'data_preprocessor.to_onehot=False`, or the same in the '
                'config, or set `model.head.contrast=None`.')
        return torch.cat([sample.gt_label for sample in data_samples])

    def _rename(self, state_dict: dict, prefix: str, *_) -> None:
        """Take over a stock head's weights, and those of the old slots."""
        names = {prefix + name: f'{prefix}cls_head.{name}'
                 for name in self.cls_head.state_dict()}
        for name in list(state_dict):
            for old, new in OLD_SLOTS.items():
                if name.startswith(f'{prefix}{old}.'):
                    names[name] = prefix + new + name[len(prefix + old):]
        for old, new in names.items():
            if old in state_dict and new not in state_dict:
                state_dict[new] = state_dict.pop(old)


def _images(data_samples: Sequence[DataSample]) -> torch.Tensor:
    """Number the images by their files, or their places in the dataset."""
    if 'img_path' in data_samples[0]:
        numbers = [crc32(str(sample.img_path).encode())
                   for sample in data_samples]
    elif 'sample_idx' in data_samples[0]:
        numbers = [sample.sample_idx for sample in data_samples]
    else:
        raise ValueError(
            'CSDHead: `contrast` has to know the images of a batch, but the '
            "pipeline packs neither 'img_path' nor 'sample_idx'. Name one in "
            '`meta_keys` of PackInputs.')
    return data_samples[0].gt_label.new_tensor(numbers)


def _refuse(old_slots: Dict[str, Any]) -> None:
    for name in old_slots:
        if name not in OLD_SLOTS:
            raise TypeError(
                f'CSDHead: there is no argument {name!r}. What the inner head '
                f'takes goes into it: `model.head.cls_head.{name}`.')
        raise TypeError(
            f'CSDHead: the slot {name!r} is called {OLD_SLOTS[name]!r} now. '
            f'Write head=dict({OLD_SLOTS[name]}=...) in the config, '
            f'`model.head.{OLD_SLOTS[name]}` in --cfg-options. Checkpoints '
            'load as they are.')
