"""SSDP: the second view of each image, through the same backbone."""
import re
from typing import Any, Dict, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS, MODELS
from mmpretrain.structures import DataSample
from torch import nn

from csd_mmpretrain.layers.feature_map import (
    MaskedFeatures,
    check_prefix_tokens,
)
from csd_mmpretrain.layers.token_trunk import TokenTrunk
from csd_mmpretrain.layers.view_norm import NORMS, view_norm
from csd_mmpretrain.utils.unwrap import unwrap

from .csd_head import CSDHead

SECOND_PASSES = ('full', 'kept_tokens')
Features = Union[torch.Tensor, Sequence[torch.Tensor], MaskedFeatures]


@HOOKS.register_module()
class SSDPHook(Hook):
    """Add CSDNet's second view to the training of an ``ImageClassifier``.

    In ``model(..., mode='loss')`` of a training step, when the raw images
    have passed backbone and neck, the hook computes the pattern map of their
    feature map (without gradient), makes the second view I' of them, sends
    I' through backbone and neck too, and lets the neck return the features
    of both, the raw half first. Everywhere else (validation, test, ``tensor``
    mode, precise BN) the classifier is a stock one. Logs ``ssdp_area``, the
    mean fraction of the images that the view keeps.

    Args:
        view (dict | Callable): Config of the view, such as
            ``DiscrepancyMaskView`` or ``EraseShuffleView``, or an object
            called as ``view(images, pattern_map, labels)`` (labels are None
            where an image has soft ones alone) that returns the second view
            and the kept fraction of each image, and that says in
            ``needs_pattern_map`` whether it needs the pattern map.
            ``'kept_tokens'`` asks it for ``kept_cells`` instead. Defaults to
            None, a ``DiscrepancyMaskView``.
        norm (str): What batch norm does with the second view, ``'shared'``,
            ``'batch'`` or ``'frozen'``, see
            :func:`~csd_mmpretrain.layers.view_norm.view_norm`. Defaults
            to ``'batch'``, by cross-validation (docs/reliability.md).
        second_pass (str): What of the second view enters the backbone.
            ``'full'``: all of I', dropped pixels being 0. ``'kept_tokens'``,
            for plain vision transformers: only the patches of I that the mask
            keeps, so that the pass costs about that fraction; the neck pools
            these positions alone. Dropped patches are then absent instead of
            gray, and patches are kept or dropped as a whole, so a training
            differs from one with ``'full'``. Defaults to ``'full'``.
        scale (float): Height and width of I' over those of I, in (0, 1]. 0.5
            sends a quarter of the pixels through the backbone, so that a
            step costs about 1.25 plain ones instead of 2. Most backbones take
            images of both sizes; BEiT and timm's Swin do not. Defaults to
            1.0.
        enabled (bool): False makes no second view; ``head.distill``, which
            compares the two, must then be None. Defaults to True.

    Raises:
        ValueError: For an unknown option, a scale outside (0, 1] or beside
            ``'kept_tokens'``, a view that does not keep equally many cells of
            every image, as ``'kept_tokens'`` needs; in the first step, if the
            backbone does not take images of the smaller size.
        TypeError, ValueError: Before the first step, if the model has no
            ``CSDHead``, no pattern map where the view needs one, or for
            ``'kept_tokens'`` a neck or a backbone that does not fit, see
            :class:`~csd_mmpretrain.layers.token_trunk.TokenTrunk`.

    Source: SSDP of the paper: the augmented image passes the same backbone
    again, in training only; ``norm``, ``second_pass`` and ``scale`` are
    choices.

    Example:
        ::

            default_hooks = dict(ssdp=dict(
                type='SSDPHook',
                view=dict(type='DiscrepancyMaskView', mode='keep')))

        Half the tokens of a ViT in the second pass::

            default_hooks = dict(ssdp=dict(
                type='SSDPHook',
                second_pass='kept_tokens',
                view=dict(
                    type='DiscrepancyMaskView', threshold=('quantile', 0.5))))
    """

    # Before RuntimeInfoHook, which hands the step's outputs to the logger.
    priority = 'HIGHEST'

    def __init__(
        self,
        view: Any = None,
        norm: str = 'batch',
        second_pass: str = 'full',
        scale: float = 1.0,
        enabled: bool = True
    ) -> None:
        for name, value, known in (('norm', norm, NORMS),
                                   ('second_pass', second_pass,
                                    SECOND_PASSES)):
            if value not in known:
                raise ValueError(f'SSDPHook: unknown {name}={value!r}; '
                                 f'choose one of {", ".join(known)}.')
        if not 0 < scale <= 1 or (scale < 1 and second_pass != 'full'):
            raise ValueError(
                f'SSDPHook: scale={scale} is the size of the second view over '
                'that of the image: more than 0 and at most 1, and 1 with '
                f"second_pass='kept_tokens' (here {second_pass!r}).")
        view = view or dict(type='DiscrepancyMaskView')
        self.view = MODELS.build(view) if isinstance(view, dict) else view
        if second_pass == 'kept_tokens' and not getattr(
                self.view, 'keeps_equal_cells', False):
            raise ValueError(
                "SSDPHook: second_pass='kept_tokens' needs a view that keeps "
                'equally many cells of every image, but '
                f'{type(self.view).__name__} ({self._view_settings}) does '
                "not. Set view=dict(type='DiscrepancyMaskView', mode='keep', "
                "threshold=('quantile', 0.5)), mode='erase' with the same "
                "threshold, or second_pass='full'.")
        self.norm = norm
        self.second_pass = second_pass
        self.scale = scale
        self.enabled = enabled
        self._handles = []
        self._batch = None
        self._kept = None

    @property
    def views_per_image(self) -> float:
        """The image and its second view, by its fraction of the pixels."""
        return 1 + self.scale**2 if self.enabled else 1

    def describe(self) -> Dict[str, str]:
        """Name the second view and its settings, for the run's header."""
        text = type(self.view).__name__
        if self._view_settings:
            text += f' ({self._view_settings})'
        return {'second view': text if self.enabled else 'switched off'}

    @property
    def _view_settings(self) -> str:
        return ', '.join(f'{name} {value}'
                         for name, value in vars(self.view).items()
                         if isinstance(value, (str, float, int, tuple)))

    def before_train(self, runner: Runner) -> None:
        if not self.enabled:
            return
        model = unwrap(runner.model)
        self._backbone = model.backbone
        self._neck = getattr(model, 'neck', None)
        self._check(model)
        model.head.view_norm = self.norm
        if self.second_pass == 'kept_tokens':
            self._trunk = self._make_trunk(model.backbone)
        last = model.backbone if self._neck is None else self._neck
        self._handles = [
            model.register_forward_pre_hook(self._keep_batch,
                                            with_kwargs=True),
            last.register_forward_hook(self._add_second_view),
            model.register_forward_hook(self._drop_batch, always_call=True)
        ]

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        if self._kept is not None and outputs is not None:
            outputs['ssdp_area'] = self._kept.mean()

    def after_train(self, runner: Runner) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _keep_batch(self, model: nn.Module, args: Sequence[Any],
                    kwargs: dict) -> None:
        call = dict(zip(('inputs', 'data_samples', 'mode'), args), **kwargs)
        if model.training and call.get('mode') == 'loss':
            self._batch = call['inputs'], call['data_samples']

    def _drop_batch(self, *_) -> None:
        self._batch = None

    def _add_second_view(self, last: nn.Module, args: tuple,
                         raw: Features) -> Optional[Tuple[torch.Tensor, ...]]:
        """Do the step of SSDP, once the raw images are through.

        Args:
            last (nn.Module): The neck; the backbone, if there is none.
            args (tuple): What it got: the feature map X, for a neck.
            raw (Features): What it returns for the raw images.

        Returns:
            tuple[Tensor], optional: The features of both views.
        """
        if self._batch is None:
            return None
        # Backbone and neck run again below and must not come back here.
        (images, samples), self._batch = self._batch, None
        feature_map = raw if self._neck is None else args[0]
        pattern = self._pattern_map(feature_map)
        if self.second_pass == 'kept_tokens':
            second = self._pass_kept_tokens(images, pattern)
        else:
            view, self._kept = self.view(images, pattern, _labels(samples))
            second = self._pass_scaled(view)
        if self._neck is not None:
            second = self._pass(self._neck, second)
        return _join(raw, second)

    @torch.no_grad()
    def _pattern_map(self, feature_map: Features) -> Optional[torch.Tensor]:
        if not self.view.needs_pattern_map:
            return None
        return self._neck.pattern_map(feature_map)

    def _pass(self, module: nn.Module, inputs: Any) -> Features:
        with view_norm(module, self.norm):
            return module(inputs)

    def _pass_scaled(self, images: torch.Tensor) -> Features:
        if self.scale == 1:
            return self._pass(self._backbone, images)
        size = [max(1, round(self.scale * n)) for n in images.shape[-2:]]
        images = F.interpolate(images, size, mode='bilinear', antialias=True)
        try:
            return self._pass(self._backbone, images)
        except (AssertionError, RuntimeError) as error:
            if (isinstance(error, torch.cuda.OutOfMemoryError)
                    or re.search('CUDA|cuDNN|NCCL', str(error))):
                raise
            raise ValueError(
                f'SSDPHook: scale={self.scale} makes second views of '
                f'{size[0]} x {size[1]}, which the backbone, '
                f'{type(self._backbone).__name__}, does not take ({error}). '
                'Set dynamic_img_size=True for a ViT of timm, '
                'pad_small_map=True for a Swin of mmpretrain, or a larger '
                'scale.') from error

    def _pass_kept_tokens(self, images: torch.Tensor,
                          pattern: torch.Tensor) -> MaskedFeatures:
        index = self.view.kept_cells(pattern)
        with self._trunk.keep(index):
            feats = self._pass(self._backbone, images)
        kept = torch.zeros(
            pattern.shape, dtype=torch.bool, device=pattern.device)
        kept.view(len(kept), -1).scatter_(1, index, True)
        self._kept = kept.float().mean(dim=(1, 2))
        return MaskedFeatures(feats, kept)

    def _check(self, model: nn.Module) -> None:
        head = getattr(model, 'head', None)
        if not isinstance(head, CSDHead):
            raise TypeError(
                'SSDPHook stacks two views, which only CSDHead tells apart, '
                f"but the model's head is {type(head).__name__}. Wrap it: "
                "head=dict(type='CSDHead', cls_head=...), or set "
                '`default_hooks.ssdp.enabled=False`.')
        neck = self._neck
        if self.view.needs_pattern_map and not hasattr(neck, 'pattern_map'):
            raise TypeError(
                f'{type(self.view).__name__} needs a pattern map, but the '
                f"model's neck is {type(neck).__name__}. Use "
                "neck=dict(type='SSDPNeck', in_channels=...), or a view "
                'without one, such as EraseShuffleView.')
        if getattr(neck, 'layout', None) == 'tokens':
            check_prefix_tokens(
                type(neck).__name__, neck.num_prefix_tokens, model.backbone)
        if self.second_pass == 'kept_tokens' and not getattr(
                neck, 'takes_masked_features', False):
            raise TypeError(
                "second_pass='kept_tokens' leaves places of the feature map "
                f"empty, which the model's neck, {type(neck).__name__}, "
                "would count. Use neck=dict(type='SSDPNeck', "
                "in_channels=...), or second_pass='full' of SSDPHook.")

    @staticmethod
    def _make_trunk(backbone: nn.Module) -> TokenTrunk:
        try:
            return TokenTrunk(backbone)
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"SSDPHook: second_pass='kept_tokens': {error} Or set "
                "second_pass='full'.") from None


def _labels(samples: Sequence[DataSample]) -> Optional[torch.Tensor]:
    """Give one label an image; None where images have soft ones alone."""
    if 'gt_label' not in samples[0]:
        return None
    return torch.cat([sample.gt_label for sample in samples])


def _join(raw: Features, second: Features) -> Tuple[torch.Tensor, ...]:
    """Put the second view's features behind the raw ones."""
    if isinstance(raw, torch.Tensor):
        return (torch.cat([raw, second]), )
    return tuple(torch.cat(pair) for pair in zip(raw, second))
