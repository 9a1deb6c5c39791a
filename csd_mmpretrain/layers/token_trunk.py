"""A pass of a vision transformer over some of its patches."""
from contextlib import contextmanager, nullcontext
from typing import Callable, Iterator, List, Optional, Tuple

import torch
from mmpretrain.models import (
    DeiT3,
    DistilledVisionTransformer,
    VisionTransformer,
)
from torch import nn

from .key_mask import KeyMask


class TokenTrunk:
    """The blocks of a plain vision transformer, which take any set of tokens.

    Plain: positions are added to the tokens before the first block, and the
    blocks get nothing but the tokens. So are ``VisionTransformer``,
    ``DistilledVisionTransformer``, ``DeiT3``, subclasses with their
    ``forward``, and a ``TIMMBackbone`` that computes its features as timm's
    ``VisionTransformer`` does.

    Args:
        backbone (nn.Module): Without a wrapper of its own; its blocks may be
            wrapped (FSDP) or recomputed (checkpointing).

    Raises:
        TypeError: If the backbone is another one.
        ValueError: If it returns no grid of tokens, or outputs of earlier
            blocks, or if its patches overlap.

    Attributes:
        num_prefix_tokens (int): Class, distillation and register tokens.
        blocks (ModuleList): The transformer's blocks.
        norm (nn.Module): The norm after the last block.
        cls_token (nn.Parameter | None): The class token before the blocks.
        patch_size (tuple[int]): Height and width of a patch, in pixels.

    Source: MAE's encoder runs on a random part of the patches so.

    Example:
        ::

            trunk = TokenTrunk(backbone)
            with trunk.keep(index):
                features = backbone(images)
    """

    def __init__(self, backbone: nn.Module) -> None:
        model = getattr(backbone, 'timm_model', backbone)
        if type(model).forward in (VisionTransformer.forward, DeiT3.forward,
                                   DistilledVisionTransformer.forward):
            _check_outputs(model)
            self._on_enter = model.layers[0].register_forward_pre_hook
            self._on_leave = model.layers[-1].register_forward_hook
            self.num_prefix_tokens = model.num_extra_tokens
            self.blocks = model.layers
            self.norm = model.ln1 if model.final_norm else nn.Identity()
        elif _is_plain_timm_vit(model):
            # timm recomputes its blocks together with their hooks.
            self._on_enter = model.norm_pre.register_forward_hook
            self._on_leave = model.norm.register_forward_pre_hook
            self.num_prefix_tokens = model.num_prefix_tokens
            self.blocks = model.blocks
            self.norm = model.norm
        else:
            raise TypeError(
                'A pass over some of the patches needs a plain vision '
                'transformer, whose blocks take any set of tokens, but '
                f'{type(model).__name__} {_reason(model)}. Choose one '
                'of mmpretrain (VisionTransformer, DeiT3) or of timm.')
        _check_patches(model)
        self.cls_token = model.cls_token
        self.patch_size = _convolutions(model.patch_embed)[0].stride

    def grid(self, images: torch.Tensor) -> Tuple[int, int]:
        """Count the rows and columns of patches of (B, 3, H, W) images.

        A part of a patch at the border counts, as images are padded.
        """
        return tuple(-(-size // patch) for size, patch in zip(
            images.shape[2:], self.patch_size))

    @contextmanager
    def keep(self, index: torch.Tensor,
             valid: Optional[torch.Tensor] = None) -> Iterator[None]:
        """Send the kept patches alone through the blocks.

        Class, distillation and register tokens always stay. After the last
        block, zeros fill the places of the dropped patches.

        Args:
            index (Tensor): (B, k), int64: the kept patches of each image,
                numbered row by row, none of them twice.
            valid (Tensor, optional): (B, k), bool: which of them count,
                where images keep different numbers. The others are padding:
                nothing sees them, and they end as zeros. An image needs one
                valid patch, or a class token. Defaults to None, all.
        """
        prefix = torch.arange(self.num_prefix_tokens, device=index.device)
        places = torch.cat([prefix.expand(len(index), -1),
                            index + self.num_prefix_tokens], 1)[..., None]
        if valid is not None:
            valid = torch.cat([
                valid.new_ones(len(valid), self.num_prefix_tokens), valid], 1)
        full = None

        def gather(x: torch.Tensor) -> torch.Tensor:
            nonlocal full
            full = x.shape
            return x.gather(1, places.expand(-1, -1, x.size(2)))

        def scatter(x: torch.Tensor) -> torch.Tensor:
            if valid is not None:
                x = torch.where(valid[..., None], x, 0)
            return x.new_zeros(full).scatter(1, places.expand_as(x), x)

        with self._on_enter(_hook(gather)), self._on_leave(_hook(scatter)), (
                nullcontext() if valid is None else KeyMask(valid)):
            yield


def _hook(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable:
    """Make a hook that changes a module's input, or its output."""
    return lambda _, args, out=None: change(args[0] if out is None else out)


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
            f'{list(model.out_indices)}, but a pass over some of the patches '
            'returns the last block only. Set out_indices=-1 of the backbone.')


def _check_patches(model: nn.Module) -> None:
    convs = _convolutions(model.patch_embed)
    if len(convs) != 1 or convs[0].kernel_size != convs[0].stride:
        raise ValueError(
            f'{type(model).__name__}: the patches overlap (its patch '
            'embedding is a convolutional network, or its stride is smaller '
            'than the patch), so kept tokens would know the dropped ones. '
            'Choose a backbone whose patches do not overlap.')


def _convolutions(model: nn.Module) -> List[nn.Conv2d]:
    return [m for m in model.modules() if isinstance(m, nn.Conv2d)]


def _reason(model: nn.Module) -> str:
    """Say why a backbone needs the whole grid, as far as its parts tell."""
    names = ' '.join(name for group in (
        model.named_modules(), model.named_parameters(), model.named_buffers())
                     for name, _ in group)
    if len(_convolutions(model)) > 1:
        return 'has convolutions, which slide over the whole grid'
    if 'downsample' in names:
        return 'merges the tokens of its grid, stage by stage'
    if 'rope' in names:
        return 'rotates its tokens by their places on the whole grid (rope)'
    if 'rel_pos' in names or 'relative_position' in names:
        return 'has a relative position bias, a table of the whole grid'
    return 'computes its output in a way of its own'
