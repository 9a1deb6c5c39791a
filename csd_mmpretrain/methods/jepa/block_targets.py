"""Random blocks of patches, as targets and as a context."""
import math
from typing import Optional, Sequence, Tuple

import torch
from mmpretrain.registry import MODELS

from .batch_draws import BatchDraws
from .sequence import Targets, flat, sequential

TRIES = 20


def block_size(number: float, scale: Sequence[float], ratio: Sequence[float],
               grid: Tuple[int, int]) -> Tuple[int, int]:
    """Get a block's height and width from one random number.

    Args:
        number (float): u in [0, 1]; it sets the area and the aspect ratio.
        scale (Sequence[float]): Smallest and largest area, fractions of the
            grid.
        ratio (Sequence[float]): Smallest and largest height / width.
        grid (tuple[int]): h and w, which limit the block.

    Returns:
        tuple[int, int]: In patches.

    Source: I-JEPA's code, except that a block may fill the grid.
    """
    area, aspect = (low + number * (high - low) for low, high in (scale,
                                                                  ratio))
    area = int(grid[0] * grid[1] * area)
    return (min(round(math.sqrt(area * aspect)), grid[0]),
            min(round(math.sqrt(area / aspect)), grid[1]))


def place_blocks(draws: torch.Tensor, size: Tuple[int, int],
                 grid: Tuple[int, int]) -> torch.Tensor:
    """Put blocks at random places, each place as likely as another.

    Args:
        draws (Tensor): (..., 2), uniform in [0, 1): top and left.
        size (tuple[int]): Height and width of the blocks.
        grid (tuple[int]): h and w.

    Returns:
        Tensor: (..., h * w), bool.
    """
    inside = []
    for number, length, whole in zip(draws.unbind(-1), size, grid):
        start = (number * (whole - length + 1)).long()[..., None]
        place = torch.arange(whole, device=draws.device)
        inside.append((place >= start) & (place < start + length))
    return (inside[0][..., None] & inside[1][..., None, :]).flatten(-2)


@MODELS.register_module()
class BlockTargets:
    """I-JEPA's masks: one context block, and blocks that it predicts.

    All blocks of a batch have one size. The context is what of its block no
    target covers. If that is too little in 20 places, it may overlap one
    target, then two, and so on.

    Args:
        num_targets (int): M. Defaults to 4.
        target_scale (Sequence[float]): Area of a target, fractions of the
            grid. Defaults to (0.15, 0.2).
        target_ratio (Sequence[float]): Height / width of a target. Defaults
            to (0.75, 1.5).
        context_scale (Sequence[float]): Area of the context's block, which
            is square. Defaults to (0.85, 1.0).
        min_keep (int): A target and a context have more patches than this.
            Defaults to 10.
        sequence (bool): Whether a target is predicted from the context and
            all targets before it, instead of the context alone. Defaults to
            False.

    Raises:
        ValueError: If an argument is out of range; in :meth:`check_grid`, if
            a grid is too small for the blocks.

    Source: I-JEPA, multi-block masks.

    Example:
        >>> target_generator = dict(type='BlockTargets', num_targets=4)
    """
    needs_saliency = False
    logged = {}

    def __init__(self,
                 num_targets: int = 4,
                 target_scale: Sequence[float] = (0.15, 0.2),
                 target_ratio: Sequence[float] = (0.75, 1.5),
                 context_scale: Sequence[float] = (0.85, 1.0),
                 min_keep: int = 10,
                 sequence: bool = False) -> None:
        if num_targets < 1:
            raise ValueError(f'BlockTargets: num_targets={num_targets} must '
                             'be at least 1.')
        if min_keep < 0:
            raise ValueError(f'BlockTargets: min_keep={min_keep} must not be '
                             'negative.')
        for name, value, limit in (('target_scale', target_scale, 1),
                                   ('target_ratio', target_ratio, math.inf),
                                   ('context_scale', context_scale, 1)):
            if not 0 < value[0] <= value[1] <= limit:
                raise ValueError(
                    f'BlockTargets: {name}={tuple(value)} must be a smallest '
                    'and a largest value, both positive'
                    f'{" and at most 1" if limit == 1 else ""}.')
        self.num_targets = num_targets
        self.target_scale = target_scale
        self.target_ratio = target_ratio
        self.context_scale = context_scale
        self.min_keep = min_keep
        self.sequence = sequence

    def check_grid(self, grid: Tuple[int, int]) -> None:
        """Raise a ValueError if blocks of a grid can be too small.

        Args:
            grid (tuple[int]): h and w, in patches.
        """
        for name, scale, ratio in (
                ('target_scale', self.target_scale, self.target_ratio),
                ('context_scale', self.context_scale, (1, 1))):
            for number in torch.linspace(0, 1, 257).tolist():
                height, width = block_size(number, scale, ratio, grid)
                if height * width <= self.min_keep:
                    raise ValueError(
                        f'BlockTargets: {name}={tuple(scale)} gives blocks of '
                        f'{height} x {width} patches on a grid of {grid[0]} x '
                        f'{grid[1]}, but more than min_keep={self.min_keep} '
                        f'are needed. Raise {name}, lower min_keep, or take '
                        'larger images or smaller patches.')

    def __call__(self,
                 draws: BatchDraws,
                 grid: Tuple[int, int],
                 progress: float = 0.,
                 scores: Optional[torch.Tensor] = None) -> Targets:
        """Draw the masks of a batch.

        Args:
            draws (BatchDraws): Random numbers of the step.
            grid (tuple[int]): h and w, in patches.
            progress (float): Not used.
            scores (Tensor, optional): Not used.

        Returns:
            Targets: On the CPU.
        """
        size, context_size = self._sizes(draws, grid)
        numbers = draws.of_images(
            self.num_targets + (self.num_targets + 1) * TRIES, 2)
        target = place_blocks(numbers[:, :self.num_targets], size, grid)
        # Row m of `allowed` may overlap the last m targets.
        covered = target.cumsum(1) > 0
        allowed = ~torch.cat([
            covered.flip(1), torch.zeros_like(covered[:, :1])], 1)
        tries = place_blocks(
            numbers[:, self.num_targets:], context_size, grid).unflatten(
                1, (-1, TRIES)) & allowed[:, :, None]
        enough = (tries.sum(-1) > self.min_keep).flatten(1)
        first = enough.int().argmax(1)
        context = tries.flatten(1, 2)[torch.arange(len(first)), first]
        parts = torch.cat([context[:, None], target], 1)
        return (sequential if self.sequence else flat)(parts)

    def blocks(self, draws: BatchDraws, grid: Tuple[int, int],
               count: int) -> torch.Tensor:
        """Put blocks of a target's size anywhere.

        Args:
            draws (BatchDraws): Random numbers of the step.
            grid (tuple[int]): h and w, in patches.
            count (int): Blocks of an image.

        Returns:
            Tensor: (B, count, h * w), bool.
        """
        size, _ = self._sizes(draws, grid)
        return place_blocks(draws.of_images(count, 2), size, grid)

    def _sizes(self, draws: BatchDraws, grid: Tuple[int, int]):
        target, context = draws.of_batch(2).tolist()
        return (block_size(target, self.target_scale, self.target_ratio, grid),
                block_size(context, self.context_scale, (1, 1), grid))
