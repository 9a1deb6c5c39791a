"""Datasets of fine and ultra-fine-grained classes."""
from .nabirds_dataset import NABirds
from .stanford_dogs_dataset import StanfordDogs
from .synthetic_leaves import SyntheticLeaves
from .ultra_fgvc import (
                         Cotton80,
                         SoyAgeing,
                         SoyGene,
                         SoyGlobal,
                         SoyLocal,
                         UltraFGVCDataset,
)

__all__ = [
    'Cotton80', 'NABirds', 'SoyAgeing', 'SoyGene', 'SoyGlobal', 'SoyLocal',
    'StanfordDogs', 'SyntheticLeaves', 'UltraFGVCDataset'
]
