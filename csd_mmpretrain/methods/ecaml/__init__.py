"""ECAML: embeddings in which classes never trained on can be told apart."""
from .embedding_head import EmbeddingHead
from .energy_confusion import EnergyConfusionLoss
from .metric_losses import (
    BinomialDevianceLoss,
    CoupledNPairLoss,
    RankedTripletLoss,
)

__all__ = [
    'BinomialDevianceLoss', 'CoupledNPairLoss', 'EmbeddingHead',
    'EnergyConfusionLoss', 'RankedTripletLoss'
]
