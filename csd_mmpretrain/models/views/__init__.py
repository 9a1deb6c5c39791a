"""Second views of a batch of images."""
from .discrepancy_mask_view import DiscrepancyMaskView
from .erase_shuffle_view import EraseShuffleView

__all__ = ['DiscrepancyMaskView', 'EraseShuffleView']
