"""Datasets of fine and ultra-fine-grained classes, and their batches."""
from .class_split import ClassSplit
from .fine_grained import NABirds, StanfordDogs
from .label_fraction import LabelFraction
from .novel_classes import NovelClasses
from .object_boxes import CUBObjects, StanfordCarsObjects
from .retrieval_sets import InShopRetrieval, OnlineProducts
from .samplers import PKSampler, SeededBatchSampler
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
    'BoxCrop', 'CUBObjects', 'ClassSplit', 'CornerCrop', 'Cotton80',
    'InShopRetrieval', 'LabelFraction', 'NABirds', 'NovelClasses',
    'OnlineProducts', 'PKSampler', 'SeededBatchSampler', 'SoyAgeing',
    'SoyGene', 'SoyGlobal', 'SoyLocal', 'StanfordCarsObjects',
    'StanfordDogs', 'SyntheticLeaves', 'UltraFGVCDataset'
]
