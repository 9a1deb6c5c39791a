"""Salient regions of an image, to be predicted in their order."""
from typing import Optional, Tuple

import torch
from mmpretrain.registry import MODELS

from .batch_draws import BatchDraws
from .block_targets import BlockTargets
from .regions import salient_regions
from .sequence import ORDERS, Targets, flat, pad, reorder, sequential

CURRICULA = ('step', 'sample', 'region')
QUERIES = ('parameter', 'token')


@MODELS.register_module()
class RegionTargets:
    """DSeq-JEPA's masks: the next most salient region from those before.

    The regions come from what the target encoder's class token looks at. A
    training starts with I-JEPA's blocks. The fraction of regions grows
    linearly with the training (curriculum).

    Args:
        num_regions (int): N, with the background. Defaults to 5.
        min_area (float): Smallest area of a region, a fraction of the grid.
            On small grids 0.05 leaves more of them. Defaults to 0.15.
        order (str): Of the regions before the background: ``'falling'`` or
            ``'rising'`` saliency, ``'random'`` or ``'spatial'``. Defaults to
            ``'falling'``.
        sequence (bool): Whether a region is predicted from all regions before
            it, instead of the first alone. Defaults to True.
        query (str): What the saliency of a patch is measured with: the
            ``'parameter'`` of the class token, as DSeq-JEPA's code, or the
            class ``'token'`` after the block. Defaults to ``'parameter'``.
        block (int): Whose patches are rated, counted from 0. Defaults to 10,
            the last but one of 12.
        curriculum (str): What is drawn: ``'step'``, regions or blocks for the
            whole batch, as DSeq-JEPA's code; ``'sample'``, for each image;
            ``'region'``, each region is kept or becomes a random block, as in
            the paper's algorithm. Defaults to ``'step'``.
        start (float): Fraction of regions at the start. Defaults to 0.
        end (float): Fraction of regions at the end. Defaults to 1.
        blocks (dict, optional): Arguments of ``BlockTargets``. Defaults to
            None.

    Raises:
        ValueError: If an argument is out of range.

    Source: DSeq-JEPA (arXiv 2511.17354). The orders are those of its
    ablation; what ``spatial`` means is a choice.

    Example:
        >>> target_generator = dict(type='RegionTargets', min_area=0.05)
    """
    needs_saliency = True

    def __init__(self,
                 num_regions: int = 5,
                 min_area: float = 0.15,
                 order: str = 'falling',
                 sequence: bool = True,
                 query: str = 'parameter',
                 block: int = 10,
                 curriculum: str = 'step',
                 start: float = 0.,
                 end: float = 1.,
                 blocks: Optional[dict] = None) -> None:
        if num_regions < 2:
            raise ValueError(
                f'RegionTargets: num_regions={num_regions} must be at least '
                '2: one region and the background.')
        if not 0 < min_area < 1:
            raise ValueError(f'RegionTargets: min_area={min_area} is a '
                             'fraction of the grid and must lie in (0, 1).')
        for name, value in (('start', start), ('end', end)):
            if not 0 <= value <= 1:
                raise ValueError(f'RegionTargets: {name}={value} is a '
                                 'fraction and must lie in [0, 1].')
        for name, value, choices in (('order', order, ORDERS),
                                     ('query', query, QUERIES),
                                     ('curriculum', curriculum, CURRICULA)):
            if value not in choices:
                raise ValueError(f'RegionTargets: unknown {name}={value!r}; '
                                 f'choose one of {", ".join(choices)}.')
        self.num_regions = num_regions
        self.min_area = min_area
        self.order = order
        self.query = query
        self.block = block
        self.curriculum = curriculum
        self.start = start
        self.end = end
        self._arrange = sequential if sequence else flat
        self._blocks = BlockTargets(**(blocks or {}))

    def check_grid(self, grid: Tuple[int, int]) -> None:
        """Raise a ValueError if a grid is too small for the blocks.

        Args:
            grid (tuple[int]): h and w, in patches.
        """
        self._blocks.check_grid(grid)

    def fraction(self, progress: float) -> float:
        """Get the fraction of regions, lambda.

        Args:
            progress (float): Of the training, 0 to 1.

        Returns:
            float: In [0, 1].
        """
        return self.start + progress * (self.end - self.start)

    def regions(self, scores: torch.Tensor,
                grid: Tuple[int, int]) -> torch.Tensor:
        """Find the regions, the most salient first.

        Args:
            scores (Tensor): (B, hw), saliency.
            grid (tuple[int]): h and w, in patches.

        Returns:
            Tensor: (B, N, hw), bool, see :func:`salient_regions`.
        """
        return salient_regions(scores, grid, self.num_regions,
                               self.min_area)[0]

    def __call__(self, draws: BatchDraws, grid: Tuple[int, int],
                 progress: float, scores: torch.Tensor) -> Targets:
        """Make the masks of a batch.

        Args:
            draws (BatchDraws): Random numbers of the step.
            grid (tuple[int]): h and w, in patches.
            progress (float): Of the training, 0 to 1.
            scores (Tensor): (B, hw), saliency.

        Returns:
            Targets: On the device of ``scores``, or on the CPU.
        """
        blocks = self._blocks(draws, grid)
        fraction = self.fraction(progress)
        self.logged = dict(
            curriculum=torch.tensor(fraction), dseq_share=torch.tensor(0.))
        if self.curriculum == 'step' and draws.of_batch(1) >= fraction:
            return blocks
        regions = reorder(
            self.regions(scores, grid), self.order,
            draws.of_images(self.num_regions - 1).to(scores.device))
        if self.curriculum == 'region':
            replaced = draws.of_images(self.num_regions, 1) >= fraction
            random = self._blocks.blocks(draws, grid, self.num_regions)
            regions = torch.where(
                replaced.to(scores.device), random.to(scores.device), regions)
        self.logged.update(
            dseq_share=torch.tensor(1.),
            regions_mean=regions.any(-1).sum(1).float().mean())
        targets = self._arrange(regions)
        if self.curriculum == 'sample':
            taken = (draws.of_images(1, 1) < fraction).to(scores.device)
            size = [max(x) for x in zip(targets.target.shape[1:3],
                                        blocks.target.shape[1:3])]
            context, target = zip(
                pad(targets, *size),
                (x.to(scores.device) for x in pad(blocks, *size)))
            targets = Targets(
                torch.where(taken, context[0], context[1]),
                torch.where(taken[..., None], target[0], target[1]))
            self.logged['dseq_share'] = taken.float().mean()
        return targets
