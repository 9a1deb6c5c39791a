"""State and shapes shared by the models."""
from .feature_map import to_feature_map
from .feature_queue import FeatureQueue

__all__ = ['FeatureQueue', 'to_feature_map']
