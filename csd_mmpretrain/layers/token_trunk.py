"""A pass of a vision transformer over some of its patches."""
from contextlib import contextmanager
from functools import partial
from typing import Callable, Iterator

import torch
from mmpretrain.models import (
    DeiT3,
    DistilledVisionTransformer,
    VisionTransformer,
)
from torch import nn
from torch.utils.hooks import RemovableHandle

Change = Callable[[torch.Tensor], torch.Tensor]


class TokenTrunk:
    """The blocks of a plain vision transformer, which take any set of tokens.

    Their backbone is mmpretrain's ``VisionTransformer`` (ViT, CLIP, MAE, DINO
    and their like), ``DistilledVisionTransformer``, ``DeiT3``, or a subclass
    that keeps their ``forward``; or a ``TIMMBackbone`` whose model computes
    its features as timm's ``VisionTransformer`` does. In all of them the
    position is added to a token before the first block and the blocks get
    nothing but the tokens.

    Args:
        backbone (nn.Module): The backbone, without a wrapper of its own; its
            blocks may be wrapped (FSDP) or recomputed (checkpointing).

    Raises:
        TypeError: If the backbone is another one.
        ValueError: If it returns no grid of tokens, or also that of earlier
            blocks, or if its patches overlap.

    Source: choice; MAE's encoder runs on a part of the patches in the same
    way, drawn at random.

    Example:
        ::

            trunk = TokenTrunk(backbone)
            with trunk.keep(index):
                features = backbone(images)
    """

    def __init__(self, backbone: nn.Module) -> None:
        model = getattr(backbone, 'timm_model', backbone)
        if _is_plain_vit(model):
            _check_outputs(model)
            self._enter = partial(_at_input, model.layers[0])
            self._leave = partial(_at_output, model.layers[-1])
            self.num_prefix_tokens = model.num_extra_tokens
        elif _is_plain_timm_vit(model):
            # timm recomputes its blocks together with their hooks.
            self._enter = partial(_at_output, model.norm_pre)
            self._leave = partial(_at_input, model.norm)
            self.num_prefix_tokens = model.num_prefix_tokens
        else:
            raise TypeError(
                "second_pass='kept_tokens' needs a plain vision transformer, "
                'whose blocks take any set of tokens, but '
                f'{type(model).__name__} {_reason(model)}. Set '
                "second_pass='full' of SSDPHook.")
        _check_patches(model)

    @contextmanager
    def keep(self, index: torch.Tensor) -> Iterator[None]:
        """Send the kept patches alone through the blocks.

        The class, distillation and register tokens always stay. Behind the
        last block every token returns to its place, and the places of the
        others hold zeros.

        Args:
            index (Tensor): (B, k), int64: the kept patches of each image,
                numbered row by row, none of them twice.

        Yields:
            None: The backbone is as before afterwards.
        """
        prefix = torch.arange(self.num_prefix_tokens, device=index.device)
        places = torch.cat([
            prefix.expand(len(index), -1),
            index + self.num_prefix_tokens
        ], 1)[..., None]
        full = None

        def gather(x: torch.Tensor) -> torch.Tensor:
            nonlocal full
            full = x.shape
            return x.gather(1, places.expand(-1, -1, x.size(2)))

        def scatter(x: torch.Tensor) -> torch.Tensor:
            return x.new_zeros(full).scatter(1, places.expand_as(x), x)

        handles = [self._enter(gather), self._leave(scatter)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _at_input(module: nn.Module, change: Change) -> RemovableHandle:
    return module.register_forward_pre_hook(lambda _, args: change(args[0]))


def _at_output(module: nn.Module, change: Change) -> RemovableHandle:
    return module.register_forward_hook(lambda _, args, out: change(out))


def _is_plain_vit(model: nn.Module) -> bool:
    return type(model).forward in (VisionTransformer.forward,
                                   DistilledVisionTransformer.forward,
                                   DeiT3.forward)


def _is_plain_timm_vit(model: nn.Module) -> bool:
    try:
        from timm.models.vision_transformer import VisionTransformer as Plain
    except ImportError:
        return False
    return isinstance(model, Plain) and all(
        getattr(type(model), name) is getattr(Plain, name)
        for name in ('forward', 'forward_features', 'forward_head'))


def _check_outputs(model: VisionTransformer) -> None:
    if model.out_type not in ('featmap', 'raw'):
        raise ValueError(
            f'{type(model).__name__}: out_type={model.out_type!r} holds no '
            "grid of patches. Set out_type='featmap' of the backbone.")
    if list(model.out_indices) != [model.num_layers - 1]:
        raise ValueError(
            f'{type(model).__name__}: out_indices='
            f"{list(model.out_indices)}, but second_pass='kept_tokens' "
            'returns the last block only. Set out_indices=-1 of the '
            "backbone, or second_pass='full' of SSDPHook.")


def _check_patches(model: nn.Module) -> None:
    """Refuse tokens that have seen patches which are not theirs."""
    convs = [m for m in model.patch_embed.modules() if _is_conv(m)]
    if len(convs) != 1 or convs[0].kernel_size != convs[0].stride:
        raise ValueError(
            f'{type(model).__name__}: the patches overlap (its patch '
            'embedding is a convolutional network, or its stride is smaller '
            'than the patch), so kept tokens would know the dropped ones. '
            "Set second_pass='full' of SSDPHook.")


def _is_conv(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d)


def _reason(model: nn.Module) -> str:
    """Say why a backbone needs the whole grid, as far as its parts tell."""
    names = ' '.join(name for group in (
        model.named_modules(), model.named_parameters(), model.named_buffers())
                     for name, _ in group)
    if sum(map(_is_conv, model.modules())) > 1:
        return 'has convolutions, which slide over the whole grid'
    if 'downsample' in names:
        return 'merges the tokens of its grid, stage by stage'
    if 'rope' in names:
        return 'turns its tokens by their places on the whole grid (rope)'
    if 'rel_pos' in names or 'relative_position' in names:
        return 'has a relative position bias, a table of the whole grid'
    return 'computes its output in a way of its own'
