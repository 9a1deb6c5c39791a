"""State and shapes shared by the models."""
from .bag_aggregator import BagAggregator, GatedAttentionBag, MeanBag
from .feature_map import to_feature_map, to_tokens
from .feature_queue import FeatureQueue

__all__ = [
    'BagAggregator', 'FeatureQueue', 'GatedAttentionBag', 'MeanBag',
    'to_feature_map', 'to_tokens'
]
