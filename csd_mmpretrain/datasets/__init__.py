"""Datasets of fine and ultra-fine-grained classes, and their batches."""
from .fine_grained import NABirds, StanfordDogs
from .label_fraction import LabelFraction
from .object_boxes import CUBObjects, StanfordCarsObjects
from .samplers import SeededBatchSampler
from .synthetic_leaves import SyntheticLeaves
from .transforms import BoxCrop, CornerCrop
from .ultra_fgvc import (
    Cotton80,
    SoyAgeing,
    SoyGene,
    SoyGlobal,
    SoyLocal,
    UltraFGVCDataset,
)

__all__ = [
    'BoxCrop', 'CUBObjects', 'CornerCrop', 'Cotton80', 'LabelFraction',
    'NABirds', 'SeededBatchSampler', 'SoyAgeing', 'SoyGene', 'SoyGlobal',
    'SoyLocal', 'StanfordCarsObjects', 'StanfordDogs', 'SyntheticLeaves',
    'UltraFGVCDataset'
]
