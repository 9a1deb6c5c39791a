"""The second view: images and their augmented view through one backbone."""
from typing import Any, Optional, Sequence, Tuple

import torch
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS, MODELS
from torch import nn

from csd_mmpretrain.models.heads import CSDHead
from csd_mmpretrain.models.utils.view_norm import NORMS, view_norm

from ..unwrap import unwrap


@HOOKS.register_module()
class SSDPHook(Hook):
    """Give a stock ``ImageClassifier`` the second view of CSDNet in training.

    From ``before_train`` to ``after_train`` it follows the backbone: inside
    ``model(..., mode='loss')`` in training mode, it lets the view make I'
    from the images, the neck's pattern map (without gradient) and the labels,
    sends I' through the backbone too, and returns both feature maps stacked
    along the batch, the raw half first. Everywhere else (validation, test,
    ``tensor`` mode, precise BN) it does nothing. Logs ``ssdp_area``, the mean
    share of the images that the view keeps.

    Args:
        view (dict | Callable): Config of the view, such as
            ``DiscrepancyMaskView`` or ``EraseShuffleView``, or an object
            called as ``view(images, pattern_map, labels)`` that returns the
            second view and the kept share of each image, and that says in
            ``needs_pattern_map`` whether it looks at the pattern map.
            Defaults to None, a ``DiscrepancyMaskView``.
        norm (str): What batch norm does with the second view, ``'shared'``,
            ``'batch'`` or ``'frozen'``, see
            :func:`~csd_mmpretrain.models.utils.view_norm.view_norm`. Defaults
            to ``'batch'``, by cross-validation (docs/reliability.md).
        enabled (bool): False gives the plain classifier. Defaults to True.

    Raises:
        ValueError: For an unknown norm.
        TypeError, ValueError: Before the first step, if the model has no
            ``CSDHead``, or no neck with a pattern map where the view needs
            one.

    Source: SSDP of the paper: the augmented image passes the same backbone
    again, in training only; ``norm`` is a choice.

    Example:
        ::

            default_hooks = dict(ssdp=dict(
                type='SSDPHook',
                view=dict(type='DiscrepancyMaskView', mode='keep')))
    """

    # Before RuntimeInfoHook, which hands the step's outputs to the logger.
    priority = 'HIGHEST'

    def __init__(
        self,
        view: Any = None,
        norm: str = 'batch',
        enabled: bool = True
    ) -> None:
        if norm not in NORMS:
            raise ValueError(f'SSDPHook: unknown norm={norm!r}; choose one of '
                             f'{", ".join(NORMS)}.')
        view = view or dict(type='DiscrepancyMaskView')
        self.view = MODELS.build(view) if isinstance(view, dict) else view
        self.norm = norm
        self.enabled = enabled
        self._handles = []
        self._samples = None
        self._kept = None

    def before_train(self, runner: Runner) -> None:
        """Check the model and start to follow its backbone.

        Args:
            runner (Runner): The runner of the training.
        """
        if not self.enabled:
            return
        model = unwrap(runner.model)
        self._check(model)
        self._neck = model.neck
        self._handles = [
            model.register_forward_pre_hook(
                self._enter_model, with_kwargs=True),
            model.register_forward_hook(self._leave_model, always_call=True),
            model.backbone.register_forward_hook(self._add_view)
        ]

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        """Put the kept share beside the losses that are logged.

        Args:
            runner (Runner): The runner of the training.
            batch_idx (int): Index of the batch.
            data_batch (dict, optional): The batch.
            outputs (dict, optional): What the step logs.
        """
        if self._kept is not None and outputs is not None:
            outputs['ssdp_area'] = self._kept.mean()

    def after_train(self, runner: Runner) -> None:
        """Stop to follow the backbone.

        Args:
            runner (Runner): The runner of the training.
        """
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _check(self, model: nn.Module) -> None:
        head = getattr(model, 'head', None)
        if not isinstance(head, CSDHead):
            raise TypeError(
                'SSDPHook stacks two views, which only CSDHead tells apart, '
                f"but the model's head is {type(head).__name__}. Wrap it: "
                "head=dict(type='CSDHead', cls_head=...), or set "
                '`default_hooks.ssdp.enabled=False`.')
        neck = getattr(model, 'neck', None)
        if self.view.needs_pattern_map and not hasattr(neck, 'pattern_map'):
            raise TypeError(
                f'{type(self.view).__name__} needs a pattern map, but the '
                f"model's neck is {type(neck).__name__}. Use "
                "neck=dict(type='SSDPNeck', in_channels=...), or a view "
                'without one, such as EraseShuffleView.')

    def _enter_model(self, model: nn.Module, args: Sequence[Any],
                     kwargs: dict) -> None:
        call = dict(zip(('inputs', 'data_samples', 'mode'), args), **kwargs)
        if model.training and call.get('mode') == 'loss':
            self._samples = call['data_samples']

    def _leave_model(self, *_) -> None:
        self._samples = None

    def _add_view(self, backbone: nn.Module, args: Tuple[torch.Tensor],
                  feats: Sequence[torch.Tensor]) -> Optional[tuple]:
        if self._samples is None:
            return None
        # The backbone runs again below and must not come back here.
        samples, self._samples = self._samples, None
        images = args[0]
        labels = torch.cat([sample.gt_label for sample in samples])
        pattern = None
        if self.view.needs_pattern_map:
            with torch.no_grad():
                pattern = self._neck.pattern_map(feats)
        second, self._kept = self.view(images, pattern, labels)
        with view_norm(backbone, self.norm):
            second_feats = backbone(second)
        return tuple(torch.cat(pair) for pair in zip(feats, second_feats))
