"""CSDNet's head: a stock head, on two views, with DDL and SSDT beside it."""
from typing import Any, Dict, List, Optional, Sequence, Tuple

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

FITTING = ('LinearClsHead, StackedLinearClsHead, ArcFaceClsHead, '
           'VisionTransformerClsHead, EfficientFormerClsHead or LeViTClsHead '
           'with distillation=False')


def check_cls_head(head: nn.Module) -> None:
    """Check that a head classifies one feature per image with one label.

    Args:
        head (nn.Module): The candidate for CSDHead's ``cls_head``.

    Raises:
        TypeError: If it is no single-label head, wants several or unpooled
            features, distils from a token of its own, or does not turn (N, C)
            into (N, K).
    """
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


@MODELS.register_module()
class CSDHead(BaseModule):
    r"""Wrap a single-label head with the objective of CSDNet.

    :math:`L = L_{cls} + \alpha L_{qc} + \beta L_{ssdt}`, where the weights
    stand in the two losses. Of the features that the neck returns, the first
    half is the raw view and the second half the augmented one; without
    ``SSDPHook`` there is one view, and the inner head does what it does
    alone. In test, ``forward`` and ``predict`` are those of the inner head.

    Args:
        cls_head (dict | ClsHead): A single-label head of mmpretrain, which
            takes one (N, C) feature and returns (N, K) logits: LinearClsHead,
            StackedLinearClsHead, ArcFaceClsHead, VisionTransformerClsHead,
            EfficientFormerClsHead and LeViTClsHead with
            ``distillation=False``. What ArcFace scales is brought to unit
            scale for ``ssdt``, which then weighs little (docs/choices.md).
        ddl (dict | nn.Module, optional): ``DDLQueueLoss``, or another loss of
            the features such as ``PairMarginLoss``. Defaults to None.
        ssdt (dict | nn.Module, optional): ``SSDTLoss``. Defaults to None.
        aug_loss_weight (float): Weight of the augmented view's
            classification loss; 0 leaves it out. Defaults to 1.0.
        init_cfg (dict, optional): Initialisation config. Defaults to None.

    Attributes:
        view_norm (str): How batch norms of ``cls_head`` treat the augmented
            view; ``SSDPHook`` sets it to its ``norm``.

    Raises:
        TypeError: If ``cls_head`` does not fit.

    Source: the paper's objective; L_cls on both views is a choice.

    Example:
        ::

            head=dict(
                type='CSDHead',
                cls_head=dict(
                    type='LinearClsHead', num_classes=80, in_channels=1024),
                ddl=dict(type='DDLQueueLoss', feat_dim=1024, queue_len=240),
                ssdt=dict(type='SSDTLoss'))
    """

    def __init__(self,
                 cls_head: dict,
                 ddl: Optional[dict] = None,
                 ssdt: Optional[dict] = None,
                 aug_loss_weight: float = 1.0,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.cls_head = _build(cls_head)
        self.ddl = _build(ddl)
        self.ssdt = _build(ssdt)
        self.aug_loss_weight = aug_loss_weight
        self.view_norm = 'batch'
        check_cls_head(self.cls_head)
        self._register_load_state_dict_pre_hook(self._adopt_stock_head)

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
        """Return the inner head's feature before its last layer.

        Args:
            feats (tuple[Tensor]): The last is (N, C).

        Returns:
            Tensor: (N, C').
        """
        return self.cls_head.pre_logits(feats)

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Return the inner head's logits.

        Args:
            feats (tuple[Tensor]): The last is (N, C).

        Returns:
            Tensor: (N, K).
        """
        return self.cls_head(feats)

    def predict(
        self,
        feats: Tuple[torch.Tensor],
        data_samples: Optional[List[Optional[DataSample]]] = None
    ) -> List[DataSample]:
        """Predict with the inner head.

        Args:
            feats (tuple[Tensor]): The last is (N, C).
            data_samples (list[DataSample], optional): Filled in place.

        Returns:
            list[DataSample]: With ``pred_score`` and ``pred_label``.
        """
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
            of ``ddl`` and ``ssdt``; what the inner head logs. Over several
            ranks, the mean of each loss is that of all their images, also
            where their batches differ in size.

        Raises:
            ValueError: If the features are not one or two views of the batch,
                ``ssdt`` has one view only, or ``ddl`` meets mixed labels.
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
        if self.ddl is not None:
            losses.update(self.ddl(views, self._labels(data_samples)))
        if self.ssdt is not None:
            losses.update(self.ssdt(*logits))
        share = batch_share(len(data_samples), losses['loss_cls'])
        return {
            key: share * value if 'loss' in key else value
            for key, value in losses.items()
        }

    def _split_views(self, features: torch.Tensor,
                     batch: int) -> torch.Tensor:
        """Reshape (V * B, C) to (V, B, C)."""
        num_views = len(features) / batch
        if num_views not in (1, 2):
            raise ValueError(
                f'CSDHead got {len(features)} features for {batch} images; '
                'it expects one per image, or two with SSDPHook.')
        if num_views == 1 and self.ssdt is not None:
            raise ValueError(
                'CSDHead: `ssdt` compares two views, but only one arrived. '
                "Add dict(type='SSDPHook') to `default_hooks` (and leave "
                'it enabled), or set `head.ssdt=None`.')
        return features.unflatten(0, (-1, batch))

    def _classify(
        self, features: torch.Tensor, data_samples: List[DataSample]
    ) -> Tuple[Dict[str, torch.Tensor], Optional[torch.Tensor]]:
        """Return the inner head's losses and its logits at unit scale."""
        head = self.cls_head
        if type(head).loss is ClsHead.loss:
            logits = head((features, ))
            return head._get_loss(logits, data_samples), logits
        # The logits of its loss carry a margin; those to distil do not.
        logits = None
        if self.ssdt is not None:
            logits = head((features, )) / getattr(head, 'scale', 1)
        return head.loss((features, ), data_samples), logits

    def _labels(self, data_samples: Sequence[DataSample]) -> torch.Tensor:
        if 'gt_score' in data_samples[0]:
            raise ValueError(
                'CSDHead: `ddl` needs one label per image, but the batch '
                'carries mixed labels (`gt_score`). Remove Mixup and CutMix '
                '(`train_cfg.augments`, `data_preprocessor.batch_augments`) '
                'and `data_preprocessor.to_onehot`, or set `head.ddl=None`.')
        return torch.cat([sample.gt_label for sample in data_samples])

    def _adopt_stock_head(self, state_dict: dict, prefix: str, *_) -> None:
        """Let a stock classifier's head weights reach the inner head."""
        for name in self.cls_head.state_dict():
            stock, ours = prefix + name, f'{prefix}cls_head.{name}'
            if stock in state_dict and ours not in state_dict:
                state_dict[ours] = state_dict.pop(stock)
