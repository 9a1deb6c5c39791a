"""Datasets of fine and ultra-fine-grained classes, and their batches."""
from .class_split import ClassSplit
from .fine_grained import NABirds, StanfordDogs
from .label_fraction import LabelFraction
from .retrieval_sets import InShopRetrieval, OnlineProducts
from .samplers import PKSampler, SeededBatchSampler
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
    'ClassSplit', 'CornerCrop', 'Cotton80', 'InShopRetrieval',
    'LabelFraction', 'NABirds', 'OnlineProducts', 'PKSampler',
    'SeededBatchSampler', 'SoyAgeing', 'SoyGene', 'SoyGlobal', 'SoyLocal',
    'StanfordDogs', 'SyntheticLeaves', 'UltraFGVCDataset'
]
