"""Datasets of fine and ultra-fine-grained classes, and their batches."""
from .label_fraction import LabelFraction
from .nabirds_dataset import NABirds
from .samplers import SeededBatchSampler
from .stanford_dogs_dataset import StanfordDogs
from .synthetic_leaves import SyntheticLeaves
from .transforms import CornerCrop
from .ultra_fgvc import (
    Cotton80,
    SoyAgeing,
    SoyGene,
    SoyGlobal,
    SoyLocal,
    UltraFGVCDataset,
)

__all__ = [
    'CornerCrop', 'Cotton80', 'LabelFraction', 'NABirds',
    'SeededBatchSampler', 'SoyAgeing', 'SoyGene', 'SoyGlobal', 'SoyLocal',
    'StanfordDogs', 'SyntheticLeaves', 'UltraFGVCDataset'
]
