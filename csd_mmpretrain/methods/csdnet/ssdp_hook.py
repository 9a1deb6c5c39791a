"""The second view: images and their augmented view through one backbone."""
import re
from typing import Any, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS, MODELS
from torch import nn

from csd_mmpretrain.layers.masked_features import MaskedFeatures
from csd_mmpretrain.layers.prefix_tokens import check_prefix_tokens
from csd_mmpretrain.layers.token_trunk import TokenTrunk
from csd_mmpretrain.layers.view_norm import NORMS, view_norm
from csd_mmpretrain.utils.unwrap import unwrap

from .csd_head import CSDHead

SECOND_PASSES = ('full', 'kept_tokens')


@HOOKS.register_module()
class SSDPHook(Hook):
    """Give a stock ``ImageClassifier`` the second view of CSDNet in training.

    From ``before_train`` to ``after_train`` it follows the backbone and the
    neck: inside ``model(..., mode='loss')`` in training mode, it lets the
    view make I' from the images, the neck's pattern map (without gradient)
    and the labels, sends I' through backbone and neck too, and lets the neck
    return the features of both, the raw half first. Everywhere else
    (validation, test, ``tensor`` mode, precise BN) it does nothing. Logs
    ``ssdp_area``, the mean share of the images that the view keeps.

    Args:
        view (dict | Callable): Config of the view, such as
            ``DiscrepancyMaskView`` or ``EraseShuffleView``, or an object
            called as ``view(images, pattern_map, labels)`` (labels are None
            where an image has soft ones alone) that returns the second view
            and the kept share of each image, and that says in
            ``needs_pattern_map`` whether it looks at the pattern map.
            ``'kept_tokens'`` asks it for ``kept_cells`` instead. Defaults to
            None, a ``DiscrepancyMaskView``.
        norm (str): What batch norm does with the second view, ``'shared'``,
            ``'batch'`` or ``'frozen'``, see
            :func:`~csd_mmpretrain.layers.view_norm.view_norm`. Defaults
            to ``'batch'``, by cross-validation (docs/reliability.md).
        second_pass (str): What of the second view enters the backbone.
            ``'full'``: all of I', dropped pixels being 0. ``'kept_tokens'``,
            for plain vision transformers: the patches of I that the mask
            keeps, at their places, and nothing else, at about their share of
            the cost; the neck pools their positions alone. To the network
            the dropped patches are then absent instead of of the mean colour,
            and whole patches are kept or dropped, so a training differs from
            one with ``'full'``. Defaults to ``'full'``.
        scale (float): Height and width of I' over those of I, in (0, 1]. 0.5
            sends a quarter of the pixels through the backbone the second
            time, so that a step costs about 1.25 plain ones in the place of
            2, with any backbone that takes images of both sizes: most do,
            Swin among them; BEiT and timm's Swin do not. Defaults to 1.0.
        enabled (bool): False makes no second view; ``head.ssdt``, which
            compares the two, must then be None. Defaults to True.

    Raises:
        ValueError: For an unknown norm or second_pass, a scale outside (0,
            1] or beside ``'kept_tokens'``, or if the view does not keep
            equally many cells of every image, as ``'kept_tokens'`` needs.
        ValueError: In the first step, if the backbone does not take images
            of the smaller size.
        TypeError, ValueError: Before the first step, if the model has no
            ``CSDHead``, or no neck with a pattern map where the view needs
            one, or for ``'kept_tokens'`` a backbone or neck that it does not
            work with, see
            :class:`~csd_mmpretrain.layers.token_trunk.TokenTrunk`.

    Source: SSDP of the paper: the augmented image passes the same backbone
    again, in training only; ``norm``, ``second_pass`` and ``scale`` are
    choices.

    Example:
        ::

            default_hooks = dict(ssdp=dict(
                type='SSDPHook',
                view=dict(type='DiscrepancyMaskView', mode='keep')))

        The second pass of a ViT at half the tokens::

            default_hooks = dict(ssdp=dict(
                type='SSDPHook',
                second_pass='kept_tokens',
                view=dict(
                    type='DiscrepancyMaskView', threshold=('quantile', 0.5))))

        A second view of half the height and width, for most backbones::

            default_hooks = dict(ssdp=dict(type='SSDPHook', scale=0.5))
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
            options = ', '.join(f'{k}={v!r}' for k, v in
                                vars(self.view).items())
            raise ValueError(
                "SSDPHook: second_pass='kept_tokens' needs a view that keeps "
                'equally many cells of every image, but '
                f'{type(self.view).__name__}({options}) does not. Set '
                "view=dict(type='DiscrepancyMaskView', mode='keep', "
                "threshold=('quantile', 0.5)), mode='erase' with the same "
                "threshold, or second_pass='full'.")
        self.norm = norm
        self.second_pass = second_pass
        self.scale = scale
        self.enabled = enabled
        self._handles = []
        self._samples = None
        self._second = None
        self._kept = None

    def before_train(self, runner: Runner) -> None:
        """Check the model and start to follow its backbone.

        Args:
            runner (Runner): The runner of the training.
        """
        if not self.enabled:
            return
        model = unwrap(runner.model)
        self._neck = getattr(model, 'neck', None)
        self._check(model)
        model.head.view_norm = self.norm
        if self.second_pass == 'kept_tokens':
            self._trunk = TokenTrunk(model.backbone)
        self._handles = [
            model.register_forward_pre_hook(
                self._enter_model, with_kwargs=True),
            model.register_forward_hook(self._leave_model, always_call=True),
            model.backbone.register_forward_hook(self._add_view)
        ]
        if self._neck is not None:
            self._handles.append(
                self._neck.register_forward_hook(self._join_views))

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

    def _enter_model(self, model: nn.Module, args: Sequence[Any],
                     kwargs: dict) -> None:
        call = dict(zip(('inputs', 'data_samples', 'mode'), args), **kwargs)
        if model.training and call.get('mode') == 'loss':
            self._samples = call['data_samples']

    def _leave_model(self, *_) -> None:
        self._samples = self._second = None

    def _add_view(self, backbone: nn.Module, args: Tuple[torch.Tensor],
                  feats: Sequence[torch.Tensor]) -> Optional[tuple]:
        if self._samples is None:
            return None
        # The backbone runs again below and must not come back here.
        samples, self._samples = self._samples, None
        images = args[0]
        labels = (torch.cat([sample.gt_label for sample in samples])
                  if 'gt_label' in samples[0] else None)
        pattern = None
        if self.view.needs_pattern_map:
            with torch.no_grad():
                pattern = self._neck.pattern_map(feats)
        if self.second_pass == 'kept_tokens':
            second = self._pass_kept(backbone, images, pattern)
        else:
            second, self._kept = self.view(images, pattern, labels)
            second = self._pass_scaled(backbone, second)
        if self._neck is None:
            return _stack(feats, second)
        self._second = second
        return None

    def _pass(self, module: nn.Module, inputs: Any) -> Any:
        with view_norm(module, self.norm):
            return module(inputs)

    def _pass_scaled(self, backbone: nn.Module, images: torch.Tensor) -> Any:
        if self.scale == 1:
            return self._pass(backbone, images)
        size = [max(1, round(self.scale * n)) for n in images.shape[-2:]]
        images = F.interpolate(images, size, mode='bilinear', antialias=True)
        try:
            return self._pass(backbone, images)
        except (AssertionError, RuntimeError) as error:
            if (isinstance(error, torch.cuda.OutOfMemoryError)
                    or re.search('CUDA|cuDNN|NCCL', str(error))):
                raise
            raise ValueError(
                f'SSDPHook: scale={self.scale} makes second views of '
                f'{size[0]} x {size[1]}, which the backbone, '
                f'{type(backbone).__name__}, does not take ({error}). Set '
                'dynamic_img_size=True for a ViT of timm, pad_small_map=True '
                'for a Swin of mmpretrain, or a larger scale.') from error

    def _pass_kept(self, backbone: nn.Module, images: torch.Tensor,
                   pattern: torch.Tensor) -> MaskedFeatures:
        index = self.view.kept_cells(pattern)
        with self._trunk.keep(index):
            feats = self._pass(backbone, images)
        kept = torch.zeros(
            pattern.shape, dtype=torch.bool, device=pattern.device)
        kept.view(len(kept), -1).scatter_(1, index, True)
        self._kept = kept.float().mean(dim=(1, 2))
        return MaskedFeatures(feats, kept)

    def _join_views(self, neck: nn.Module, args: tuple,
                    pooled: Sequence[torch.Tensor]) -> Optional[tuple]:
        if self._second is None:
            return None
        # The neck runs again below and must not come back here.
        second, self._second = self._second, None
        return _stack(pooled, self._pass(neck, second))


def _stack(raw: Sequence[torch.Tensor],
           second: Sequence[torch.Tensor]) -> Tuple[torch.Tensor, ...]:
    if isinstance(raw, torch.Tensor):
        return (torch.cat([raw, second]), )
    return tuple(torch.cat(pair) for pair in zip(raw, second))
