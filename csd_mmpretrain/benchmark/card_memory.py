"""What cards of several sizes can train, by the peak memory of two steps."""
from typing import Dict, Sequence

from csd_mmpretrain.utils.tables import markdown_table

from .step_benchmark import StepSetting, peak_memory, step_variants

CARDS = (8, 16, 24)
# What CUDA's context and torch's unused blocks take of a card, in MiB.
RESERVED = 1024


def largest_batch(peaks: Dict[int, float], card: float) -> int:
    """Find the largest batch that a card holds.

    Memory grows linearly with the batch: weights, gradients and optimizer
    stay, activations come with each image.

    Args:
        peaks (dict[int, float]): MiB by batch size, for two sizes.
        card (float): The card's memory in GiB.

    Returns:
        int: 0 if it holds none.

    Source: choice; 1 GiB of the card is left for CUDA and fragmentation.

    Example:
        >>> largest_batch({2: 3000., 4: 4000.}, 8)
        10
    """
    (small, low), (large, high) = sorted(peaks.items())
    per_image = max((high - low) / (large - small), 1e-9)
    fixed = low - small * per_image
    return max(int((1024 * card - RESERVED - fixed) / per_image), 0)


def card_table(setting: StepSetting,
               batch_sizes: Sequence[int] = (2, 6)) -> str:
    """Measure a training step with two batch sizes, and write what fits.

    Args:
        setting (StepSetting): Its batch size does not matter.
        batch_sizes (Sequence[int]): Two, small enough for any card. Defaults
            to (2, 6).

    Returns:
        str: A Markdown table of peak memory and of the largest batches.
    """
    rows = []
    for name in (next(iter(step_variants(setting))), setting.name):
        peaks = {size: peak_memory(setting._replace(batch_size=size), name)
                 for size in batch_sizes}
        rows.append((name, *(f'{peaks[size]:.0f}' for size in batch_sizes),
                     *(largest_batch(peaks, card) for card in CARDS)))
    return markdown_table((
        'largest batch by peak memory (MiB)',
        *(f'batch {size}' for size in batch_sizes),
        *(f'{card} GB' for card in CARDS)), rows)
