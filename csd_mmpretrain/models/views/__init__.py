"""Second views of a batch of images."""
from .discrepancy_mask_view import DiscrepancyMaskView
from .erase_shuffle_view import EraseShuffleView
from .fresh_augment_view import FreshAugmentView

__all__ = ['DiscrepancyMaskView', 'EraseShuffleView', 'FreshAugmentView']
